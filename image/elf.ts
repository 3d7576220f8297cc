/** Which shared libraries a program needs. */
import { lstatSync, readFileSync, readlinkSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { ARCHITECTURES, type Arch } from './arch.ts';
import { run } from './run.ts';

/** `e_machine` of an ELF file; undefined for anything else. */
export const machineOf = (content: Uint8Array): number | undefined => {
  const bytes = Buffer.from(content.buffer, content.byteOffset, content.byteLength);
  return bytes.length > 20 && bytes.readUInt32BE(0) === 0x7f454c46 ? bytes.readUInt16LE(18) : undefined;
};

/** The file behind a path of an unpacked system, whose absolute links mean that system and not this machine. */
const fileBehind = (root: string, path: string): string | undefined => {
  const status = lstatSync(join(root, path), { throwIfNoEntry: false });
  if (!status?.isSymbolicLink()) return status && join(root, path);
  return fileBehind(root, resolve('/', dirname(path), readlinkSync(join(root, path))));
};

/** Names of the libraries that an ELF file asks for: `libc.so.6`. None for a static program. */
const needed = async (path: string): Promise<readonly string[]> => {
  const text = await run(['readelf', '--dynamic', '--wide', path], { cure: 'apt-get install binutils' });
  return [...text.matchAll(/\(NEEDED\).*\[(.+)\]/g)].flatMap(([, name]) => name ?? []);
};

/**
 * All libraries that the programs need, and those that these need, and the loader.
 * @param root folder with an unpacked system of that architecture
 * @returns path in the image without leading slash → file
 */
export async function libraryClosure(
  arch: Arch,
  root: string,
  programs: readonly string[],
): Promise<ReadonlyMap<string, string>> {
  const { triplet, loader } = ARCHITECTURES[arch];
  const found = new Map<string, string>();
  const todo = [...programs];
  const take = (path: string): void => {
    if (found.has(path)) return;
    const file = fileBehind(root, path);
    if (file === undefined)
      throw new Error(`no package has the library ${path} for ${arch}; add it to image/packages.ts`);
    found.set(path, file);
    todo.push(file);
  };
  take(`usr${loader}`);
  for (let file = todo.shift(); file !== undefined; file = todo.shift())
    for (const name of await needed(file))
      if (!`usr${loader}`.endsWith(name)) take(`usr/lib/${triplet}/${name}`);
  return found;
}

/** @throws when a file is an ELF file of another architecture: a foreign program fails only when it is run */
export function assertMachine(arch: Arch, path: string): Buffer {
  const content = readFileSync(path);
  const machine = machineOf(content);
  if (machine !== undefined && machine !== ARCHITECTURES[arch].machine)
    throw new Error(`${path} is not for ${arch}: its ELF machine is ${machine}`);
  return content;
}
