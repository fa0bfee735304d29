import type { RefusalReason } from "./messages.ts";
import type { RequestEffect } from "./options.ts";

// Where things stand in the messages of `messages.ts`, for those who write them and those who read them.

export const refusalReasons: readonly RefusalReason[] = ["turned-away", "overloaded", "reclassified", "abandoned", "malformed", "twin"];
export const effects: readonly RequestEffect[] = ["read", "repeatable", "write"];
export const formJson = 0;
export const formBytes = 1;
export const requestHeadBytes = 12;
export const cancelHeadBytes = 10;
export const answerHeadBytes = 6;
/** With the number of requests under way. */
export const fullAnswerHeadBytes = 8;
export const tellFlag = 16;
export const traceFlag = 32;
export const traceHeadBytes = 2;
export const elsewhereFlag = 1;
export const waitingFlag = 2;
export const errorHeadBytes = 5;
export const refusalHeadBytes = 6;
export const reasonCharactersMax = 500;
