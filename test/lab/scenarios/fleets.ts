import type { FleetPlan, LoadPlan } from "../scenario.ts";

/** The load: 1,000 reads a second of 20 ms each, answered within 2 s. */
export const reads: LoadPlan = { service: "MDS", requestsPerSecond: 1000, serviceTimeMs: 20, deadlineMs: 2000 };

/** Two networks, six hosts: the directory, four servers, and who calls them. */
export const sixHosts: FleetPlan = {
  networks: 2,
  hosts: [
    { name: "HOST1", node: "directory" },
    { name: "HOST2", node: "agent", servers: ["MDS.1.1"] },
    { name: "HOST3", node: "agent", servers: ["MDS.2.1"] },
    { name: "HOST4", node: "agent", servers: ["MDS.3.1"] },
    { name: "HOST5", node: "agent", servers: ["MDS.4.1"] },
    { name: "HOST6", node: "agent", caller: true },
  ],
};

/** Two networks, six hosts, two of them relays that share the rest. */
export const sixHostsWithRelays: FleetPlan = {
  networks: 2,
  hosts: [
    { name: "HOST1", node: "directory" },
    { name: "HOST2", node: "relay" },
    { name: "HOST3", node: "relay" },
    { name: "HOST4", node: "agent", servers: ["MDS.1.1", "MDS.2.1"] },
    { name: "HOST5", node: "agent", servers: ["MDS.3.1"] },
    { name: "HOST6", node: "agent", caller: true },
  ],
};

/** Hosts with servers in `sixHosts`, and these. */
export const serverHosts = ["HOST2", "HOST3", "HOST4", "HOST5"] as const;
export const servers = ["MDS.1.1", "MDS.2.1", "MDS.3.1", "MDS.4.1"] as const;
