import { execFile, spawn } from "node:child_process";
import { createInterface } from "node:readline";

/** What is asked of iproute2. */
export interface IpCommand {
  /** The lines of `ip -o link show` or `ip -o addr show`. Rejects when there is no such command, or it fails. */
  list(what: "link" | "addr"): Promise<readonly string[]>;
  /**
   * Runs `ip -o monitor link address`. `line` is called for each of its lines, `ended` once when it is over, for whatever reason. The
   * returned function ends it; it never outlives this process.
   */
  monitor(line: (text: string) => void, ended: () => void): () => void;
}

const listMsMax = 5000;
const listBytesMax = 4 * 1024 * 1024;

/**
 * `ip` tells as long as somebody reads; the shell around it ends it when our end of the pipe closes, however this process
 * ends. It gives its own output away, so that the end of `ip` is seen as the end of the stream.
 */
const script = "ip -o monitor link address & child=$!; exec >&-; read -r _; kill $child 2>/dev/null";

export const systemIp: IpCommand = {
  list: (what) =>
    new Promise((resolve, reject) => {
      execFile("ip", ["-o", what, "show"], { maxBuffer: listBytesMax, timeout: listMsMax }, (error, stdout) =>
        error === null ? resolve(stdout.split("\n")) : reject(error),
      );
    }),
  monitor: (line, ended) => {
    const monitor = spawn("/bin/sh", ["-c", script], { stdio: ["pipe", "pipe", "ignore"] });
    // The end of its input ends the shell, and that ends `ip`.
    const end = () => void monitor.stdin.end();
    monitor.on("error", () => {});
    monitor.stdin.on("error", () => {});
    createInterface({ input: monitor.stdout }).on("line", line);
    monitor.stdout.on("close", () => {
      end();
      ended();
    });
    return end;
  },
};
