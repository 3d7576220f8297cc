/** The tests that run in Debian's kernel as well, against its own WireGuard: a name in the list is all it takes. */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { buildShim } from '../../cni/shim/build.ts';
import { inKernel, quoted } from './boot.ts';
import { bundleInto } from './bundle.ts';

/** File → beginnings of the names of its tests that take too long here, or have nothing to do with the kernel: by hand. */
const SCENARIOS: Readonly<Record<string, readonly string[]>> = {
  'test/kernel/mesh.kernel.test.ts': [],
  'test/agent/life.netns.test.ts': [],
  'test/agent/endpoints.netns.test.ts': [
    'an agent whose key an older Node shows',
    'a host that comes back under another name',
    'an endpoint by a name',
  ],
  'test/agent/rotation.netns.test.ts': [
    'no packet is lost while a node',
    'a restart does not change it again',
    'a patch without answer',
    'killed when',
  ],
  'test/mesh/mtu.netns.test.ts': [
    'an underlay of 1280',
    'between an underlay of 9000',
    'a router that drops large packets',
    'a route of the underlay',
    'the host keeps its default route',
  ],
  'test/kernel/policy.kernel.test.ts': [],
};

/** Timeouts are for machines ten times as fast. No second attempt after a loss: nothing in the data path is a process. */
const SETTINGS = { WEFT_LAB_PATIENCE: process.env.WEFT_LAB_PATIENCE ?? '8', WEFT_LAB_ATTEMPTS: '1' } as const;

const TEST = [
  process.execPath,
  '--enable-source-maps',
  '--test',
  '--test-reporter=spec',
  '--test-concurrency=1',
] as const;

async function bundles(folder: string, files: readonly string[]): Promise<readonly string[]> {
  const paths: string[] = [];
  for (const file of files) {
    const into = join(folder, dirname(file));
    mkdirSync(into, { recursive: true });
    paths.push(await bundleInto(into, file));
  }
  return paths;
}

/** Runs test files in one boot; resolves with the test runner's status. `flags` are the test runner's. */
async function run(files: readonly string[], flags: readonly string[], jobMs: number): Promise<number> {
  buildShim('amd64');
  const folder = mkdtempSync(join(tmpdir(), 'weft-scenarios-'));
  try {
    const [agent = '', ...tests] = await bundles(folder, ['main.ts', ...files]);
    const words = [...TEST, `--test-timeout=${jobMs}`, ...flags, ...tests];
    const { code } = await inKernel(words.map(quoted).join(' '), {
      env: { ...SETTINGS, WEFT_LAB_AGENT: agent },
      jobMs,
      onOutput: chunk => process.stdout.write(chunk),
    });
    return code;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const skipped = (names: readonly string[]): readonly string[] =>
  names.map(name => `--test-skip-pattern=^${name}`);

const JOB_MS = 600_000;

const asked = process.argv.slice(2);
const isFlag = (word: string): boolean => word.startsWith('-');
try {
  process.exitCode = asked.some(word => !isFlag(word))
    ? await run(
        asked.filter(word => !isFlag(word)),
        asked.filter(isFlag),
        JOB_MS,
      )
    : await run(Object.keys(SCENARIOS), skipped(Object.values(SCENARIOS).flat()), JOB_MS);
} catch (error) {
  process.stderr.write(`kernel: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 125;
}
