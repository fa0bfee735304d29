/** Tables of a member's store. `slots`: what it knows of each slot, where keys are shared among groups. */
export const tables = Object.freeze({ state: 1, outcomes: 2, leases: 3, history: 4, slots: 5 });
