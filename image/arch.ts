/** What differs between the architectures that the image is built for. */
import type { Arch as AnyArch } from '../cni/shim/build.ts';

/** What `npm run image` builds for; the Dockerfile builds for ARMv7 too. */
export type Arch = Exclude<AnyArch, 'arm'>;

type Facts = {
  /** Node's word, and npm's. */
  readonly node: 'x64' | 'arm64';
  /** Debian's multiarch folder, and the prefix of its cross tools. */
  readonly triplet: string;
  /** Loader that ELF programs name. */
  readonly loader: string;
  /** e_machine in an ELF header. */
  readonly machine: number;
};

export const ARCHITECTURES: Readonly<Record<Arch, Facts>> = {
  amd64: { node: 'x64', triplet: 'x86_64-linux-gnu', loader: '/lib64/ld-linux-x86-64.so.2', machine: 62 },
  arm64: { node: 'arm64', triplet: 'aarch64-linux-gnu', loader: '/lib/ld-linux-aarch64.so.1', machine: 183 },
};

export const isArch = (word: string): word is Arch => Object.hasOwn(ARCHITECTURES, word);

const isNative = (arch: Arch): boolean => ARCHITECTURES[arch].node === process.arch;

/** A program of the toolchain, such as `gcc` or `strip`. */
export const toolFor = (arch: Arch, tool: string): string =>
  isNative(arch) ? tool : `${ARCHITECTURES[arch].triplet}-${tool}`;
