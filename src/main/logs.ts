import type { NodeRun, Output } from "../cli/index.ts";
import type { JsonValue, LogLevel, Telemetry } from "../kernel/index.ts";

const order: readonly LogLevel[] = ["debug", "info", "warn", "error"];

/** Lines on stderr: for people "12:03:04.567 warn parent-lost reason=…", for machines one JSON object each. */
export function logTo(
  output: Output,
  options: Pick<NodeRun, "logFormat" | "logLevel">,
  meter?: Pick<Telemetry, "count" | "gauge" | "observe">,
): Telemetry {
  const least = order.indexOf(options.logLevel);
  const write = options.logFormat === "json" ? writeJson : writeLine;
  return {
    log: (level, event, fields = {}) => {
      if (order.indexOf(level) >= least) write(output, level, event, fields);
    },
    count: (name, by, labels) => meter?.count(name, by, labels),
    gauge: (name, read, labels) => meter?.gauge(name, read, labels),
    observe: (name, value, labels) => meter?.observe(name, value, labels),
  };
}

type Fields = Readonly<Record<string, JsonValue>>;

function writeJson(output: Output, level: LogLevel, event: string, fields: Fields): void {
  output.write(`${JSON.stringify({ time: new Date().toISOString(), level, event, ...fields })}\n`);
}

function writeLine(output: Output, level: LogLevel, event: string, fields: Fields): void {
  const time = new Date().toISOString().slice(11, 23);
  const words = Object.entries(fields).map(
    ([name, value]) => `${name}=${typeof value === "string" && !/[\s"]/.test(value) ? value : JSON.stringify(value)}`,
  );
  output.write(`${[time, level.padEnd(5), event, ...words].join(" ")}\n`);
}
