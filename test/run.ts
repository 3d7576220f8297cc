/**
 * What `npm test` runs: every tier that this machine can run, one after the other, but those that are run only when they
 * are asked for; then a summary.
 * `npm test -- TIER …` runs only those.
 */
import { spawn } from 'node:child_process';
import { globSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { labUnavailable } from './lab/reenter.ts';

type Outcome = {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  /** Files of which something failed at first and nothing the second time. */
  readonly flaky?: readonly string[];
};

type Tier = {
  readonly name: string;
  readonly what: string;
  /** Why it cannot run here. */
  readonly unavailable: () => Promise<string | undefined> | string | undefined;
  readonly run: () => Promise<Outcome>;
  /** Not part of a run without names, for the time that it takes. */
  readonly onlyAsked?: true;
};

const ROOT = `${import.meta.dirname}/..`;

/** Runs to the end with output passed on; resolves with status and stdout. */
function run(argv: readonly string[]): Promise<{ readonly code: number; readonly stdout: string }> {
  const [file = '', ...args] = argv;
  return new Promise(resolve => {
    const child = spawn(file, args, { cwd: ROOT, stdio: ['ignore', 'pipe', 'inherit'] });
    const out: Buffer[] = [];
    child.stdout.on('data', chunk => {
      out.push(chunk);
      process.stdout.write(chunk);
    });
    child.on('error', error => {
      process.stdout.write(`cannot run ${file}: ${error.message}\n`);
      resolve({ code: 127, stdout: '' });
    });
    child.on('close', code => resolve({ code: code ?? 1, stdout: Buffer.concat(out).toString() }));
  });
}

const CHECKS: readonly (readonly string[])[] = [
  ['biome', 'check', '.'],
  ['oxlint', '--type-aware'],
  ['tsc', '--noEmit'],
  ['knip'],
  ['node', 'tools/docs.ts', '--check'],
  ['node', 'manifests/render.ts', '--check'],
];

async function checks(): Promise<Outcome> {
  let failed = 0;
  for (const argv of CHECKS) {
    process.stdout.write(`\n$ ${argv.join(' ')}\n`);
    if ((await run(argv)).code !== 0) failed += 1;
  }
  return { passed: CHECKS.length - failed, failed, skipped: 0 };
}

/** From the reporter's summary, which is coloured where FORCE_COLOR is set. */
const count = (output: string, word: string): number =>
  Number(new RegExp(`^ℹ ${word} (\\d+)$`, 'm').exec(stripVTControlCharacters(output))?.[1] ?? 0);

const NETNS = /\.netns\.test\.ts$/;
const KERNEL = /\.kernel\.test\.ts$/;
const CLUSTER = /^test\/cluster\/|\.cluster\.test\.ts$/;
const BESIDE = /^test\/host\//;
const MIGRATION = /flannel\.cluster\.test\.ts$/;

const files = (wanted: (file: string) => boolean): string[] =>
  globSync('test/**/*.test.ts', { cwd: ROOT }).filter(wanted).sort();

/** Where more files than these fail, or in the kernel tests, that is no accident of timing. */
const FEW = 3;

/** Chosen files that name another one in an import. */
const importersOf = (file: string, chosen: readonly string[]): readonly string[] =>
  chosen.filter(one => readFileSync(join(ROOT, one), 'utf8').includes(`/${basename(file)}'`));

/** The files named under "failing tests", or those that import them; all, where one of them is imported by none of the chosen. */
function failing(stdout: string, chosen: readonly string[]): readonly string[] {
  const named = [...stripVTControlCharacters(stdout).matchAll(/^test at (\S+?):\d+:\d+$/gm)];
  const files = named.map(([, file = '']) => (chosen.includes(file) ? [file] : importersOf(file, chosen)));
  return files.some(of => of.length === 0) ? chosen : [...new Set(files.flat())];
}

/**
 * Tests of whole machines meet timing that no wait foresees: few files with failures are tried once more, and told. Files
 * and not tests are counted, since what fails first in one may let the rest of it fail.
 */
async function nodeTests(
  wanted: (file: string) => boolean,
  { concurrency, timeoutMs, again }: { concurrency: number; timeoutMs: number; again: boolean },
): Promise<Outcome> {
  const flags = [
    '--test',
    '--test-reporter=spec',
    `--test-concurrency=${concurrency}`,
    `--test-timeout=${timeoutMs}`,
  ];
  const chosen = files(wanted);
  // Without names node would run every test there is.
  if (chosen.length === 0) return { passed: 0, failed: 1, skipped: 0 };
  const { stdout, ...first } = await counted(['node', ...flags, ...chosen]);
  const suspects = failing(stdout, chosen);
  if (!again || first.failed === 0 || suspects.length > FEW || suspects.length === 0) return first;
  process.stdout.write(`\nonce more: ${suspects.join(' ')}\n`);
  const second = await counted(['node', ...flags, ...suspects]);
  if (second.failed > 0) return first;
  return { ...first, passed: first.passed + first.failed, failed: 0, flaky: suspects };
}

const sum = (a: Outcome, b: Outcome): Outcome => ({
  passed: a.passed + b.passed,
  failed: a.failed + b.failed,
  skipped: a.skipped + b.skipped,
  flaky: [...(a.flaky ?? []), ...(b.flaky ?? [])],
});

/** Most of them wait most of the time; beside programs of others each packet is waited for a second only. */
async function inNamespaces(): Promise<Outcome> {
  const own = (file: string): boolean => NETNS.test(file) && !CLUSTER.test(file);
  const limits = { timeoutMs: 300_000, again: true };
  const most = await nodeTests(file => own(file) && !BESIDE.test(file), { concurrency: 3, ...limits });
  return sum(most, await nodeTests(file => own(file) && BESIDE.test(file), { concurrency: 2, ...limits }));
}

/** From the output of node's test runner. */
async function counted(argv: readonly string[]): Promise<Outcome & { readonly stdout: string }> {
  const { code, stdout } = await run(argv);
  const [passed, failed, skipped] = ['pass', 'fail', 'skipped'].map(word => count(stdout, word)) as [
    number,
    number,
    number,
  ];
  const none = passed + failed + skipped === 0 || code !== 0;
  return { passed, failed: failed === 0 && none ? 1 : failed, skipped, stdout };
}

const SCENARIOS = ['node', 'test/kernel/scenarios.ts'] as const;

/** In one boot, so that all of it is tried again. */
async function inKernel(): Promise<Outcome> {
  const first = await counted(SCENARIOS);
  if (first.failed === 0 || first.failed > FEW) return first;
  process.stdout.write('\nonce more, all of it\n');
  const second = await counted(SCENARIOS);
  return second.failed > 0 ? first : { ...second, flaky: ['the kernel tier'] };
}

const ON_CLUSTER = { concurrency: 1, timeoutMs: 2_400_000, again: true } as const;

const TIERS: readonly Tier[] = [
  {
    name: 'checks',
    what: 'format, lint, types, dead code, generated files',
    unavailable: () => undefined,
    run: checks,
  },
  {
    name: 'unit',
    what: 'pure code and small servers',
    unavailable: () => undefined,
    run: () =>
      nodeTests(file => !NETNS.test(file) && !CLUSTER.test(file) && !KERNEL.test(file), {
        concurrency: 2,
        timeoutMs: 120_000,
        again: false,
      }),
  },
  {
    name: 'netns',
    what: 'hosts and pods in namespaces, the real binary and agents',
    unavailable: labUnavailable,
    run: inNamespaces,
  },
  {
    name: 'kernel',
    what: "the kernel's own WireGuard: Debian's kernel under QEMU",
    unavailable: async () => (await import('./kernel/available.ts')).kernelUnavailable(),
    run: inKernel,
  },
  {
    name: 'cluster',
    what: 'a real Kubernetes on this machine',
    unavailable: async () => (await import('./cluster/packages.ts')).clusterUnavailable(),
    run: () => nodeTests(file => CLUSTER.test(file) && !MIGRATION.test(file), ON_CLUSTER),
  },
  {
    name: 'migration',
    what: 'from flannel to weft and back, on a real Kubernetes',
    unavailable: async () => (await import('./cluster/packages.ts')).clusterUnavailable(),
    run: () => nodeTests(file => MIGRATION.test(file), ON_CLUSTER),
    onlyAsked: true,
  },
];

const asked = process.argv.slice(2);
const unknown = asked.filter(name => !TIERS.some(tier => tier.name === name));
if (unknown.length > 0) {
  process.stderr.write(
    `there is no tier ${unknown.join(', ')}; there are ${TIERS.map(tier => tier.name).join(', ')}\n`,
  );
  process.exit(2);
}

const summary: string[] = [];
let total: Outcome = { passed: 0, failed: 0, skipped: 0 };
for (const tier of TIERS.filter(t => (asked.length === 0 ? !t.onlyAsked : asked.includes(t.name)))) {
  process.stdout.write(`\n== ${tier.name}: ${tier.what}\n`);
  const reason = await tier.unavailable();
  if (reason !== undefined) {
    total = { ...total, skipped: total.skipped + 1 };
    summary.push(`SKIP ${tier.name}: ${reason}`);
    continue;
  }
  const began = performance.now();
  const outcome = await tier.run();
  const { passed, failed, skipped, flaky = [] } = outcome;
  const seconds = ((performance.now() - began) / 1000).toFixed(0);
  summary.push(
    `${failed > 0 ? 'FAIL' : 'ok  '} ${tier.name}: ${passed} passed, ${failed} failed, ${skipped} skipped in ${seconds} s`,
  );
  if (flaky.length > 0) summary.push(`     only at the second try: ${flaky.join(' ')}`);
  total = sum(total, outcome);
}
process.stdout.write(
  `\n${summary.join('\n')}\n${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped\n`,
);
process.exitCode = total.failed > 0 ? 1 : 0;
