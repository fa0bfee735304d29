import type { JsonValue } from "../kernel/index.ts";

type Schema = { readonly [name: string]: JsonValue };

const ref = (name: string): Schema => ({ $ref: `#/components/schemas/${name}` });
const list = (items: Schema): Schema => ({ type: "array", items });
const text = (description?: string): Schema => ({ type: "string", ...(description === undefined ? {} : { description }) });
const json = (schema: Schema): Schema => ({ "application/json": { schema } });
const answer = (description: string, schema: Schema): Schema => ({ description, content: json(schema) });
const body = (schema: Schema): Schema => ({ required: true, content: json(schema) });

const inPath = (name: string, description: string): Schema => ({ name, in: "path", required: true, description, schema: text() });
const inQuery = (name: string, description: string, schema: Schema = text()): Schema => ({ name, in: "query", description, schema });
const inHeader = (name: string, description: string): Schema => ({ name, in: "header", description, schema: text() });

const table = inPath("table", "A table by its plain or its symbolic name, such as metadata or DSD_MTID_METADATA.");
const key = inPath("key", "A key; slashes may stand as they are or percent-encoded.");
const where = inQuery("where", "Attributes that must hold, all of them: zone=a,version=2.");
const policy = inQuery("policy", "Which instance of a service is chosen.", {
  type: "string",
  enum: ["round-robin", "primary-first", "weighted", "rendezvous"],
});
const seed = inQuery("seed", "For rendezvous: equal seeds find equal servers.");
const ifMatch = inHeader("If-Match", "The entry must still be at this revision, else 409.");
const ifNoneMatch = inHeader("If-None-Match", "With *: there must be no such entry yet, else 409.");

const errors = (...statuses: readonly string[]): Schema =>
  Object.fromEntries(statuses.map((status) => [status, answer(reasons[status] ?? "", ref("Error"))]));
const reasons: Readonly<Record<string, string>> = {
  "400": "The request cannot be read; the message says what is wrong with it.",
  "404": "There is no such table, entry or server.",
  "409": "Refused: a condition does not hold, a live program holds the key, or a rule of the roll forbids it.",
  "413": "More than a limit allows; the message names it.",
  "503": "The node cannot do it now: it is not attached, the directory is not reached, or a limit of open work is met.",
};

const schemas: Schema = {
  Revision: {
    type: "string",
    pattern: "^\\d+\\.\\d+$",
    description: "epoch.sequence: a position in the one order of changes",
    examples: ["3.1841"],
  },
  Table: {
    type: "object",
    required: ["name", "entries"],
    properties: { name: text(), symbol: text(), mapping: text("modulus:N or rendezvous"), entries: { type: "integer" } },
  },
  Entry: {
    type: "object",
    required: ["table", "key", "value", "valid", "revision", "owner"],
    properties: {
      table: text(),
      key: text(),
      value: { description: "any JSON; a server is { host, port, data? }" },
      valid: { type: "boolean" },
      revision: ref("Revision"),
      owner: { type: ["string", "null"], description: "who watches the live program behind a bound entry; null for a standing one" },
    },
  },
  Server: {
    type: "object",
    required: ["key", "instance", "host", "address", "port", "revision"],
    properties: {
      key: text(),
      instance: text(),
      host: text(),
      address: text(),
      port: { type: "integer" },
      data: {},
      revision: ref("Revision"),
    },
  },
  CompleteRoute: {
    allOf: [
      ref("Server"),
      {
        type: "object",
        required: ["ageMs", "alternates"],
        properties: {
          ageMs: { type: ["number", "null"], description: "age of the node's position, in milliseconds" },
          alternates: list(ref("Server")),
          group: {
            type: "object",
            description: "of a service instance whose servers keep one state together: its ordering group",
            required: ["epoch", "synchronising"],
            properties: { epoch: { type: "integer" }, synchronising: text() },
          },
        },
      },
    ],
  },
  Event: {
    type: "object",
    required: ["event", "table"],
    properties: {
      event: {
        type: "string",
        enum: ["Add", "Delete", "Subscribe"],
        description: "Add: added or changed; Subscribe: events were discarded, read again",
      },
      table: text(),
      entry: ref("Entry"),
    },
  },
  Operation: {
    type: "object",
    required: ["op", "table", "key"],
    properties: {
      op: { type: "string", enum: ["add", "delete", "set-valid"] },
      table: text(),
      key: text(),
      value: { description: "for add" },
      valid: { type: "boolean", description: "for set-valid; for add, default true" },
      force: { type: "boolean", description: "for delete: also when a live program holds it" },
    },
  },
  Change: {
    type: "object",
    required: ["operations"],
    properties: {
      operations: { ...list(ref("Operation")), minItems: 1, maxItems: 100 },
      ifRevision: list({
        type: "object",
        required: ["table", "key", "revision"],
        properties: { table: text(), key: text(), revision: text("epoch.sequence, or absent") },
      }),
      coherent: { type: "boolean" },
    },
  },
  Heartbeat: {
    type: "object",
    required: ["maxPeriodMs"],
    properties: {
      maxPeriodMs: { type: "number", minimum: 100, maximum: 3_600_000, description: "the next heartbeat is expected within this time" },
      onExpiry: {
        type: "object",
        required: ["action"],
        description: "what happens when it does not come; default invalidate",
        properties: {
          action: { type: "string", enum: ["invalidate", "delete", "add", "hook"] },
          table: text("for add"),
          key: text("for add"),
          value: { description: "for add" },
          name: text("for hook: one that the agent's configuration names"),
        },
      },
      value: { description: "written first when there is no such entry" },
    },
  },
  Written: {
    type: "object",
    required: ["table", "key", "revision"],
    properties: { table: text(), key: text(), revision: ref("Revision") },
  },
  Error: {
    type: "object",
    required: ["code", "message", "effect"],
    properties: {
      code: text("stable, such as roll/key-claimed"),
      message: text("the cause"),
      effect: { type: "string", enum: ["none", "maybe", "done"], description: "whether it can have taken effect" },
      next: text("what to do"),
    },
  },
};

const entryParameters = [table, key];

const paths: Schema = {
  "/v1/tables": {
    get: { operationId: "listTables", summary: "The tables.", responses: { "200": answer("All tables, by name.", list(ref("Table"))) } },
  },
  "/v1/tables/{table}/entries": {
    get: {
      operationId: "search",
      summary: "Key search: the entries whose keys begin with a prefix, in key order.",
      parameters: [table, inQuery("prefix", "Raw leading characters; without it the whole table."), where],
      responses: { "200": answer("The entries.", list(ref("Entry"))), ...errors("400", "404") },
    },
  },
  "/v1/tables/{table}/entries/{key}": {
    get: {
      operationId: "getEntry",
      summary: "One entry.",
      parameters: entryParameters,
      responses: { "200": answer("The entry; ETag is its revision.", ref("Entry")), ...errors("400", "404") },
    },
    put: {
      operationId: "putEntry",
      summary: "Adds or changes a standing entry. Answered when it is durable and can be read here.",
      parameters: [...entryParameters, ifMatch, ifNoneMatch],
      requestBody: body({ type: "object", required: ["value"], properties: { value: {}, valid: { type: "boolean", default: true } } }),
      responses: {
        "200": answer("Changed.", ref("Written")),
        "201": answer("Added.", ref("Written")),
        ...errors("400", "404", "409", "413", "503"),
      },
    },
    delete: {
      operationId: "deleteEntry",
      summary: "Deletes an entry.",
      parameters: [...entryParameters, inQuery("force", "Also when a live program holds it.", { type: "boolean" }), ifMatch],
      responses: { "200": answer("Deleted.", ref("Written")), ...errors("400", "404", "409", "503") },
    },
  },
  "/v1/tables/{table}/entries/{key}/heartbeat": {
    post: {
      operationId: "heartbeat",
      summary: "Binds the entry to the caller's heartbeats, sets it valid, and expects the next one in time.",
      parameters: entryParameters,
      requestBody: body(ref("Heartbeat")),
      responses: {
        "200": answer("Heard.", { type: "object", properties: { table: text(), key: text(), maxPeriodMs: { type: "number" } } }),
        ...errors("400", "404", "409", "413", "503"),
      },
    },
  },
  "/v1/change": {
    post: {
      operationId: "change",
      summary: "Several operations that take effect together or not at all.",
      requestBody: body(ref("Change")),
      responses: {
        "200": answer("Applied.", { type: "object", required: ["revision"], properties: { revision: ref("Revision") } }),
        ...errors("400", "404", "409", "413", "503"),
      },
    },
  },
  "/v1/find/{table}/{key}": {
    get: {
      operationId: "find",
      summary:
        "Find server: a server, the primary of a service instance, or an instance of a service, with everything that is needed to call it.",
      parameters: [
        table,
        key,
        inQuery("all", "All servers that could be chosen, in order, as a list.", { type: "boolean" }),
        where,
        policy,
        seed,
      ],
      responses: {
        "200": answer("The complete route; with all, a list that may be empty.", {
          anyOf: [ref("CompleteRoute"), list(ref("CompleteRoute"))],
        }),
        ...errors("400", "404"),
      },
    },
  },
  "/v1/partition/{table}/{key}": {
    get: {
      operationId: "findPartition",
      summary: "The server that a partition's key belongs to: its row, else the table's mapping, then find.",
      parameters: [table, key, where, policy, seed],
      responses: { "200": answer("The complete route.", ref("CompleteRoute")), ...errors("400", "404") },
    },
  },
  "/v1/watch": {
    get: {
      operationId: "watch",
      summary:
        "Events as they happen, as server-sent events: event is Add, Delete or Subscribe, data an Event, id the revision up to which all is known.",
      parameters: [
        { ...inQuery("table", "Repeatable.", list(text())), required: true, explode: true },
        inQuery("prefix", "Only keys that begin with it."),
        inHeader(
          "Last-Event-ID",
          "Goes on behind this revision; begins with Subscribe when what has happened since is not known any more.",
        ),
      ],
      responses: {
        "200": { description: "The stream.", content: { "text/event-stream": { schema: text() } } },
        ...errors("400", "404", "503"),
      },
    },
  },
  "/healthz": {
    get: { operationId: "healthz", summary: "The process lives.", responses: { "200": answer("It does.", { type: "object" }) } },
  },
  "/readyz": {
    get: {
      operationId: "readyz",
      summary: "The replica is loaded and the node is attached.",
      responses: { "200": answer("It is.", { type: "object" }), ...errors("503") },
    },
  },
  "/metrics": {
    get: {
      operationId: "metrics",
      summary: "Metrics in the format of Prometheus.",
      responses: { "200": { description: "The metrics.", content: { "text/plain": { schema: text() } } } },
    },
  },
  "/openapi.json": {
    get: { operationId: "openapi", summary: "This description.", responses: { "200": answer("OpenAPI 3.1.", { type: "object" }) } },
  },
};

/** The description of the HTTP door, OpenAPI 3.1. */
export function openApi(version: string): Schema {
  return {
    openapi: "3.1.0",
    info: {
      title: "Muster",
      version,
      summary: "The roll of a fleet: who serves what, on which host, and how to reach it now.",
      license: { name: "Apache-2.0", identifier: "Apache-2.0" },
    },
    servers: [{ url: "/" }],
    paths,
    components: { schemas },
  };
}
