/** Access bits, SMB's values. */
export const Access = {
  readData: 0x1,
  writeData: 0x2,
  appendData: 0x4,
  readEa: 0x8,
  writeEa: 0x10,
  execute: 0x20,
  readAttributes: 0x80,
  writeAttributes: 0x100,
  delete: 0x10000,
  readControl: 0x20000,
  writeDac: 0x40000,
  writeOwner: 0x80000,
  synchronize: 0x100000,
  maximumAllowed: 0x2000000,
  genericAll: 0x10000000,
  genericExecute: 0x20000000,
  genericWrite: 0x40000000,
  genericRead: 0x80000000,
} as const;

const READ =
  Access.readData | Access.readEa | Access.readAttributes | Access.readControl | Access.synchronize;
const WRITE =
  Access.writeData |
  Access.appendData |
  Access.writeEa |
  Access.writeAttributes |
  Access.readControl |
  Access.synchronize;
const EXECUTE = Access.execute | Access.readAttributes | Access.readControl | Access.synchronize;

/** Every specific right. */
export const ALL_ACCESS = READ | WRITE | EXECUTE | Access.delete | Access.writeDac | Access.writeOwner;

/** Replaces generic rights by the specific ones that they stand for (semantics.md F1). */
export function specificAccess(desired: number): number {
  let access = desired & ALL_ACCESS;
  // The highest bit makes the number negative in 32-bit arithmetic; the test works on it all the same.
  if ((desired & Access.genericRead) !== 0) access |= READ;
  if ((desired & Access.genericWrite) !== 0) access |= WRITE;
  if ((desired & Access.genericExecute) !== 0) access |= EXECUTE;
  if ((desired & (Access.genericAll | Access.maximumAllowed)) !== 0) access |= ALL_ACCESS;
  // EXECUTE implies READ_DATA in what is granted.
  if ((access & Access.execute) !== 0) access |= Access.readData;
  return access;
}

/** The groups of rights that share modes are about. */
export const Group = { read: 1, write: 2, delete: 4 } as const;

/** Groups of an access mask; zero: attributes only, conflicts with nobody. */
export function accessGroups(access: number): number {
  return (
    ((access & (Access.readData | Access.execute)) !== 0 ? Group.read : 0) |
    ((access & (Access.writeData | Access.appendData)) !== 0 ? Group.write : 0) |
    ((access & Access.delete) !== 0 ? Group.delete : 0)
  );
}
