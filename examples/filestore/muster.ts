/** The one place where the store meets the library. */
export { type CompleteRoute, type Entry, type Fleet, type FleetEvent, type ServedEntry, connect } from "../../src/index.ts";
