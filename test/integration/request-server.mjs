// A server of requests as a program of its own: node request-server.mjs LIBRARY AGENT KEY WORK_MS
const [library, agent, key, workMs] = process.argv.slice(2);
const { connect } = await import(library);
const fleet = await connect({ agent, preset: "test" });
const work = () => new Promise((resolve) => setTimeout(resolve, Number(workMs)));
const answer = async (body) => {
  await work();
  return { by: key, body };
};
const server = await fleet.serve("metadata", key, {
  port: 0,
  types: {
    look: { effect: "read", handle: answer },
    act: { effect: "write", handle: answer },
    echo: { effect: "read", handle: (body) => body },
  },
});
process.on("SIGTERM", () => {
  server
    .close()
    .then(() => fleet.close())
    .then(() => process.exit(0));
});
process.send("serving");
