/**
 * The command line: one verb a file, each a client like any other. It touches the world only through `CliWorld`, so all of
 * it runs in tests without a process, a socket or a terminal.
 */
export { exitCode } from "./errors.ts";
export { NodeCommandSpawner } from "./node-command-spawner.ts";
export { runCli } from "./run-cli.ts";
export type {
  AgentRun,
  CliWorld,
  CommandEnd,
  CommandSpawner,
  ConnectRequest,
  DirectoryRun,
  NodeRun,
  Output,
  RelayRun,
  RunningCommand,
  SnapshotRestore,
  SnapshotSave,
  SnapshotSummary,
  StopSignal,
  UpRun,
} from "./world.ts";
