/** `npm run bench`: figures beside the reference's, with their spread. Nothing passes or fails by a time. */
import { parseArgs } from 'node:util';
import { here } from '../lab/namespace.ts';
import { inside, labUnavailable, reenter } from '../lab/reenter.ts';
import { asInImage } from './bundled.ts';
import { benchCni, type CniBench, prepareCni, printBurst } from './cni.ts';
import { benchIdle, printIdle } from './idle.ts';
import { benchJoin } from './join.ts';
import { benchMemory, printMemory } from './memory.ts';
import { benchPackets } from './packets.ts';
import { benchPlan, benchPool } from './plan.ts';
import { benchPolicy, printPolicy } from './policy.ts';
import { benchBusy, benchScale } from './scale.ts';
import { printRatio } from './stats.ts';
import { benchTunnel } from './tunnel.ts';
import { printUpdate } from './updates.ts';

const USAGE = `npm run bench -- [PART …] [--pairs N] [--services N] [--json]

  PART        cni, scale, busy, tunnel, join, plan, policy, memory, idle (default: all)
  --pairs     interleaved pairs, 15 and more mean something (default 25)
  --services  Services in foreign nftables tables beside the plugins (default 1000)
  --json      one JSON object on stdout, progress on stderr
`;

const PARTS = ['cni', 'scale', 'busy', 'tunnel', 'join', 'plan', 'policy', 'memory', 'idle'] as const;
type Part = (typeof PARTS)[number];

const options = {
  pairs: { type: 'string', default: '25' },
  services: { type: 'string', default: '1000' },
  json: { type: 'boolean', default: false },
  help: { type: 'boolean', default: false },
} as const;

type Report = { readonly value: unknown; readonly lines: readonly string[] };

const cniLines = (bench: CniBench): readonly string[] =>
  bench.kind === 'skipped'
    ? [`SKIP cni: ${bench.reason}`]
    : [
        ...bench.ratios.map(printRatio),
        ...bench.bursts.map(printBurst),
        `STATUS: median ${bench.statusMs.toFixed(1)} ms`,
        `in each of these: exec of a static program by the driver, median ${bench.driverMs.toFixed(1)} ms`,
      ];

const say = (line: string): void => void process.stderr.write(`bench: ${line}\n`);

async function runPart(part: Part, pairs: number, services: number): Promise<Report> {
  switch (part) {
    case 'cni': {
      const value = await asInImage(() => benchCni({ pairs, services, say }));
      return { value, lines: cniLines(value) };
    }
    case 'scale': {
      const value = await asInImage(() => benchScale(250, pairs));
      return { value, lines: [printRatio(value.add), printRatio(value.del)] };
    }
    case 'busy': {
      const value = await asInImage(() => benchBusy(1_000, say));
      const { still, quiet, busy } = value;
      const loop = (of: typeof still): string =>
        `event loop late by median ${of.p50.toFixed(2)} ms, p99 ${of.p99.toFixed(2)} ms (${of.ownP99.toFixed(2)} without waits for a processor), at most ${of.max.toFixed(1)} ms; processor ${(of.cpuMs / of.seconds / 10).toFixed(0)} % with the probe's own, memory ${of.rssMb.toFixed(0)} MB`;
      const phase = ({ add, loop: of }: typeof quiet): string =>
        `ADD median ${add.p50.toFixed(2)} ms, p99 ${add.p99.toFixed(2)} ms; ${loop(of)}`;
      const lines = [
        `with ${value.nodes} nodes and nothing to do: ${loop(still)}`,
        `with pods that come and go, one after the other: ${phase(quiet)}`,
        `while ${value.changed} of the nodes move too: ${phase(busy)}`,
      ];
      return { value, lines };
    }
    case 'tunnel': {
      const value = await benchTunnel(pairs, say);
      return { value, lines: [`engine ${value.engine}`, printRatio(value.pod)] };
    }
    case 'join': {
      const value = await benchJoin(5, 3, say);
      const times = value.allMs.map(time => time.toFixed(0)).join(', ');
      return { value, lines: [`a node joins ${value.nodes} others and is reached by all: ${times} ms`] };
    }
    case 'plan': {
      const value = benchPlan(1_000);
      const pool = benchPool();
      return {
        value: { ...value, pool },
        lines: [
          `plan of ${value.nodes} nodes: ${value.planMs.toFixed(1)} ms, its text ${value.renderMs.toFixed(1)} ms`,
          `an address of a /16 taken and freed: ${pool.emptyUs.toFixed(1)} µs, with ${pool.held} held ${pool.fullUs.toFixed(1)} µs`,
        ],
      };
    }
    case 'memory': {
      const value = await benchMemory(say);
      return { value, lines: value.map(printMemory) };
    }
    case 'idle': {
      const value = await benchIdle(say, clearLab);
      return { value, lines: value.map(printIdle) };
    }
    case 'policy': {
      const engine = [benchPolicy('own', 1_000, 1_000), benchPolicy('wide', 1_000, 1_000)];
      const packets = await benchPackets(pairs, say);
      const value = { engine, packets };
      const { ratios, updates } = packets;
      return {
        value,
        lines: [...engine.map(printPolicy), ...ratios.map(printRatio), ...updates.map(printUpdate)],
      };
    }
  }
}

/** Each lab makes its own underlay; the kernel is slow to take the last one's namespaces away. */
async function clearLab(): Promise<void> {
  const links = (await here(['ip', '-o', 'link'])).matchAll(/^\d+: (node\d+|underlay)[@:]/gm);
  for (const [, link = ''] of links) await here(['ip', 'link', 'del', link]).catch(() => {});
}

const isPart = (text: string): text is Part => PARTS.includes(text as Part);

const fail = (message: string): number => {
  process.stderr.write(`bench: ${message}\n`);
  return 1;
};

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({ options, allowPositionals: true });
  if (values.help) return process.stdout.write(USAGE) ? 0 : 1;
  const unknown = positionals.find(text => !isPart(text));
  if (unknown !== undefined) return fail(`there is no part ${unknown}; parts are ${PARTS.join(', ')}`);
  const [pairs, services] = [Number(values.pairs), Number(values.services)];
  if (!(Number.isInteger(pairs) && pairs > 0)) return fail(`--pairs must be 1 or more, not ${values.pairs}`);
  if (!(Number.isInteger(services) && services >= 0 && services < 60_000))
    return fail(`--services must be 0 to 60000, not ${values.services}`);
  const reason = labUnavailable();
  if (reason !== undefined) return fail(`SKIP: ${reason}`);
  const parts = positionals.length > 0 ? positionals.filter(isPart) : PARTS;
  if (!inside() && parts.includes('cni')) await prepareCni(say);
  if (!inside()) return reenter([process.execPath, import.meta.filename, ...process.argv.slice(2)]);
  const reports: Record<string, unknown> = {};
  for (const part of parts) {
    const { value, lines } = await runPart(part, pairs, services);
    await clearLab();
    reports[part] = value;
    if (!values.json) process.stdout.write(`${lines.join('\n')}\n`);
  }
  if (values.json) process.stdout.write(`${JSON.stringify(reports, undefined, 2)}\n`);
  return 0;
}

try {
  process.exitCode = await main();
} catch (error) {
  process.exitCode = fail(error instanceof Error ? error.message : String(error));
}
