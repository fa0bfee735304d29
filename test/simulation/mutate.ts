import { registerHooks } from "node:module";
import type { Mutant } from "./mutants.ts";

/**
 * Breaks the sources while they are loaded, so that the product holds no switches for its own mutants. Call it before the
 * sources are imported. Throws when an edit does not fit exactly one place: then the mutant has to be written anew.
 */
export function applyMutant(mutant: Mutant): void {
  registerHooks({
    load(url, context, nextLoad) {
      const loaded = nextLoad(url, context);
      const edits = mutant.edits.filter(({ file }) => url.endsWith(`/src/${file}`));
      if (edits.length === 0 || loaded.source === undefined || loaded.source === null) return loaded;
      let source = typeof loaded.source === "string" ? loaded.source : Buffer.from(loaded.source as Uint8Array).toString();
      for (const { find, put, everywhere } of edits) {
        const places = source.split(find).length - 1;
        if (places !== 1 && !(everywhere === true && places > 1)) throw new Error(`mutant "${mutant.name}": ${places} places for ${find}`);
        source = source.replaceAll(find, () => put);
      }
      return { ...loaded, source };
    },
  });
}
