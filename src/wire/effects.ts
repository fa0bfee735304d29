/**
 * What a committed change does to a replica: the effects that the directory resolved, in order. Conditions, ownership
 * and derived rows were settled before; a replica only applies. A decoder calls the sink directly, so that applying a
 * change allocates nothing but the strings that stay.
 */
export interface EffectSink {
  /**
   * Writes a whole row. `text` is the value as canonical JSON. `incarnation` is 0 for a standing entry, else the sequence
   * of the change that bound it; `owner` names the node that watches the program ("" for a standing entry).
   */
  put(table: number, key: string, text: string, valid: boolean, owner: string, incarnation: number): void;
  /** Changes only the validity of a row. */
  setValid(table: number, key: string, valid: boolean): void;
  remove(table: number, key: string): void;
}

/** One effect as data: what the directory's rules produce and the encoder takes. */
export type ChangeEffect =
  | {
      readonly kind: "put";
      readonly table: number;
      readonly key: string;
      readonly text: string;
      readonly valid: boolean;
      readonly owner: string;
      readonly incarnation: number;
    }
  | { readonly kind: "valid"; readonly table: number; readonly key: string; readonly valid: boolean }
  | { readonly kind: "remove"; readonly table: number; readonly key: string };
