import { type KeyObject, createHmac, createSecretKey, timingSafeEqual } from "node:crypto";

/** HMAC-SHA256 cut to 128 bits (RFC 2104, section 5). */
export const macBytes = 16;

/** Keys the probes of one fleet. The secret is looked up for each message, so it may come late or change. */
export class ProbeSeal {
  readonly #secret: () => Uint8Array | undefined;
  #known: Uint8Array | undefined;
  #key: KeyObject | undefined;

  constructor(secret: () => Uint8Array | undefined) {
    this.#secret = secret;
  }

  /** Without a secret nothing is sent and nothing is believed. */
  get ready(): boolean {
    return this.#keyNow() !== undefined;
  }

  /** Undefined without a secret. */
  mac(bytes: Uint8Array): Buffer | undefined {
    const key = this.#keyNow();
    return key === undefined ? undefined : createHmac("sha256", key).update(bytes).digest().subarray(0, macBytes);
  }

  /** Whether the last 16 bytes are the MAC of all before them. */
  holds(message: Uint8Array): boolean {
    const cut = message.length - macBytes;
    if (cut <= 0) return false;
    const mac = this.mac(message.subarray(0, cut));
    return mac !== undefined && timingSafeEqual(mac, message.subarray(cut));
  }

  #keyNow(): KeyObject | undefined {
    const secret = this.#secret();
    if (secret !== this.#known) {
      this.#known = secret;
      this.#key = secret === undefined || secret.length === 0 ? undefined : createSecretKey(secret);
    }
    return this.#key;
  }
}
