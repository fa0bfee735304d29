import type { Verb } from "../verb.ts";
import { add } from "./add.ts";
import { agent } from "./agent.ts";
import { remove } from "./delete.ts";
import { directory } from "./directory.ts";
import { drain } from "./drain.ts";
import { doctor } from "./doctor.ts";
import { find } from "./find.ts";
import { groups } from "./groups.ts";
import { hosts } from "./hosts.ts";
import { move } from "./move.ts";
import { promote } from "./promote.ts";
import { relay } from "./relay.ts";
import { routes } from "./routes.ts";
import { search } from "./search.ts";
import { serve } from "./serve.ts";
import { snapshot } from "./snapshot.ts";
import { status } from "./status.ts";
import { table } from "./table.ts";
import { tables } from "./tables.ts";
import { types } from "./types.ts";
import { up } from "./up.ts";
import { watch } from "./watch.ts";
import { why } from "./why.ts";

/** All verbs, in the order of the help. */
export const verbs: readonly Verb[] = [
  up,
  directory,
  relay,
  agent,
  serve,
  find,
  search,
  add,
  remove,
  drain,
  promote,
  move,
  watch,
  table,
  tables,
  groups,
  types,
  hosts,
  routes,
  status,
  doctor,
  why,
  snapshot,
];
