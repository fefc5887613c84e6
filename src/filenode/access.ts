/** Access bits, SMB's values (state.proto). */
export const access = {
  readData: 0x1,
  writeData: 0x2,
  appendData: 0x4,
  execute: 0x20,
  readAttributes: 0x80,
  writeAttributes: 0x100,
  delete: 0x10000,
  /** Everything a handle can be granted. */
  all: 0x1f01ff,
} as const;
