/** Builds the CNI binary, static, for each architecture that a compiler is there for. */
import { execFileSync } from 'node:child_process';
import { createHash, randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** `arm` is ARMv7 with hardware floating point. */
export type Arch = 'amd64' | 'arm64' | 'arm';

const HERE = import.meta.dirname;
const SOURCES = [
  'weft-cni.c',
  'agent.c',
  'netns.c',
  'processor.c',
  'program.c',
  'request.c',
  'away.c',
  'loopback.c',
  'monitor.c',
  'runner.c',
  'probe.c',
  'unlink.c',
  'weft-cni.h',
  'agent.h',
  'netns.h',
  'processor.h',
  'program.h',
  'loopback.h',
  'monitor.h',
  'runner.h',
  'probe.h',
  'unlink.h',
];
const FLAGS = ['-std=gnu11', '-Wall', '-Wextra', '-Werror', '-Os', '-static', '-s', '-Wl,--build-id=none'];

const COMPILERS: Readonly<Record<Arch, string>> = {
  amd64: process.arch === 'x64' ? 'gcc' : 'x86_64-linux-gnu-gcc',
  arm64: process.arch === 'arm64' ? 'gcc' : 'aarch64-linux-gnu-gcc',
  arm: process.arch === 'arm' ? 'gcc' : 'arm-linux-gnueabihf-gcc',
};

const TRIPLETS: Readonly<Record<Arch, string>> = {
  amd64: 'x86_64-linux-gnu',
  arm64: 'aarch64-linux-gnu',
  arm: 'arm-linux-gnueabihf',
};

/**
 * musl where it is there (Debian's musl-tools, for this machine's own architecture): a start takes
 * 0.15 ms then and not 0.41, since glibc asks the processor dozens of questions that a hypervisor
 * has to answer.
 */
export const compiler = (arch: Arch): readonly string[] =>
  COMPILERS[arch] === 'gcc' && existsSync('/usr/bin/musl-gcc')
    ? ['musl-gcc', '-idirafter', '/usr/include', '-idirafter', `/usr/include/${TRIPLETS[arch]}`]
    : [COMPILERS[arch]];

const digest = (arch: Arch): string => {
  const hash = createHash('sha256').update([...compiler(arch), ...FLAGS].join(' '));
  for (const file of SOURCES) hash.update(readFileSync(join(HERE, file)));
  return hash.digest('hex');
};

/** Path of the binary; built only where the sources have changed. Throws where the compiler is missing or fails. */
export function buildShim(arch: Arch): string {
  const dir = join(HERE, '..', 'bin');
  const target = join(dir, `weft-cni-${arch}`);
  const stamp = `${target}.sha256`;
  const wanted = digest(arch);
  if (existsSync(target) && existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return target;
  mkdirSync(dir, { recursive: true });
  const sources = SOURCES.filter(file => file.endsWith('.c')).map(file => join(HERE, file));
  // Two processes may build at once, and in namespaces of their own both have the number 1.
  const next = `${target}.${randomUUID()}`;
  const [program = '', ...headers] = compiler(arch);
  execFileSync(program, [...headers, ...FLAGS, '-o', next, ...sources], {
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  renameSync(next, target);
  writeFileSync(stamp, wanted);
  return target;
}

if (import.meta.main) {
  const asked = process.argv.slice(2) as Arch[];
  for (const arch of asked.length > 0 ? asked : (['amd64', 'arm64'] as const))
    process.stdout.write(`${buildShim(arch)}\n`);
}
