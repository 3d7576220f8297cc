/** Archives of the kind that the kernel unpacks as its first file system ("newc" in the kernel's buffer-format.rst). */

export type Entry = {
  /** Without leading slash; parents come before what is in them. */
  readonly path: string;
  /** None: a directory. */
  readonly content?: Uint8Array | string;
  readonly executable?: boolean;
};

const DIRECTORY = 0o040755;
const FILE = 0o100644;
const PROGRAM = 0o100755;

const padded = (bytes: Uint8Array): Buffer => Buffer.concat([bytes, Buffer.alloc(-bytes.length & 3)]);

const hex = (value: number): string => value.toString(16).padStart(8, '0');

function record(path: string, mode: number, inode: number, content: Uint8Array): Buffer {
  const name = Buffer.from(`${path}\0`);
  // inode, mode, uid, gid, links, mtime, size, device twice, special device twice, name's length, checksum
  const fields = [inode, mode, 0, 0, 1, 0, content.length, 0, 0, 0, 0, name.length, 0];
  const header = Buffer.from(`070701${fields.map(hex).join('')}`);
  return Buffer.concat([padded(Buffer.concat([header, name])), padded(content)]);
}

const modeOf = ({ content, executable }: Entry): number =>
  content === undefined ? DIRECTORY : executable ? PROGRAM : FILE;

/** One whole archive; the kernel takes several, one after the other, each beginning at a multiple of 4. */
export const cpio = (entries: readonly Entry[]): Buffer =>
  Buffer.concat([
    ...entries.map((entry, n) => record(entry.path, modeOf(entry), n + 1, Buffer.from(entry.content ?? ''))),
    record('TRAILER!!!', 0, 0, Buffer.alloc(0)),
  ]);
