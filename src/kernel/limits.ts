/** Limits of what may be said about an entry; every border refuses more with an error that names the limit. */
export const keyBytesMax = 512;
export const tableNameBytesMax = 64;
export const valueBytesMax = 64 * 1024;
export const changeOperationsMax = 100;
export const changeBytesMax = 1024 * 1024;
/** A frame on a link; a batch or a part of a load is cut well below it. */
export const frameBytesMax = 4 * 1024 * 1024;
