// A server of a service whose groups share its keys, as a program of its own: node keyed-server.mjs LIBRARY AGENT KEY DATA
const [library, agent, key, data] = process.argv.slice(2);
const { connect } = await import(library);
const fleet = await connect({ agent, preset: "test" });
const countIn = (bytes) => (bytes === undefined ? 0 : Number(Buffer.from(bytes).toString()));
const server = await fleet.serve("metadata", key, {
  port: 0,
  group: { data, byKey: true },
  types: {
    add: {
      effect: "write",
      orderingKey: "key",
      handle: ({ key: name, by }, { state }) => {
        const count = countIn(state.get(name)) + by;
        state.put(name, Buffer.from(String(count)));
        return count;
      },
    },
    get: { effect: "read", orderingKey: "key", handle: ({ key: name }, { state }) => countIn(state.get(name)) },
  },
});
process.on("SIGTERM", () => {
  server
    .close()
    .then(() => fleet.close())
    .then(() => process.exit(0));
});
process.send("serving");
