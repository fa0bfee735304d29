/**
 * A stable hash of text: FNV-1a over UTF-16 code units, finished by the mixer of MurmurHash3 (Appleby). It decides where keys
 * belong, so it may never change. Uniform 32 bits; not for secrets.
 */
export function stableHash(text: string, seed = 0x811c_9dc5): number {
  let hash = seed;
  for (let index = 0; index < text.length; index++) {
    const unit = text.charCodeAt(index);
    hash = Math.imul(hash ^ (unit & 0xff), 0x0100_0193);
    hash = Math.imul(hash ^ (unit >>> 8), 0x0100_0193);
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x85eb_ca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2_ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

/**
 * The score of a candidate for a seed under weighted rendezvous hashing (Thaler and Ravishankar, 1998; weights as −w / ln h):
 * the highest wins. When a candidate comes or goes, only its own share of the seeds moves.
 */
export function rendezvousScore(seed: string, candidate: string, weight: number): number {
  const unit = (stableHash(candidate, stableHash(seed)) + 0.5) / 0x1_0000_0000;
  return -weight / Math.log(unit);
}
