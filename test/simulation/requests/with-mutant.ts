/** Loaded before a test file (`node --import`), with the mutant's name in MUSTER_MUTANT. */
import { applyMutant } from "../mutate.ts";
import { requestMutants } from "./mutants.ts";

const mutant = requestMutants.find(({ name }) => name === process.env["MUSTER_MUTANT"]);
if (mutant === undefined) throw new Error(`there is no mutant "${process.env["MUSTER_MUTANT"]}"`);
applyMutant(mutant);
