/**
 * The main job on one machine: three nodes on an underlay, an API server, the real agents, pods
 * made through the real CNI binary, everybody talking to everybody, and a look at the wire.
 */
import { parseArgs } from 'node:util';
import { inside, labUnavailable, reenter } from '../../test/lab/reenter.ts';
import { printReport } from './print.ts';
import type { DemoReport } from './report.ts';
import { runDemo } from './story.ts';

const USAGE = `npm run demo -- [--nodes N] [--keep] [--json]

  --nodes N   how many nodes, 2 to 20 (default 3)
  --keep      leave it running until Ctrl-C, and say what to try
  --json      the result as one JSON object on stdout, progress on stderr
`;

const options = {
  nodes: { type: 'string', default: '3' },
  keep: { type: 'boolean', default: false },
  json: { type: 'boolean', default: false },
  help: { type: 'boolean', default: false },
} as const;

const fail = (message: string): number => {
  process.stderr.write(`demo: ${message}\n`);
  return 1;
};

async function main(): Promise<number> {
  const { values } = parseArgs({ options });
  if (values.help) return process.stdout.write(USAGE) ? 0 : 1;
  const nodes = Number(values.nodes);
  if (!Number.isInteger(nodes) || nodes < 2 || nodes > 20)
    return fail(`--nodes must be 2 to 20, not ${values.nodes}`);
  const reason = labUnavailable();
  if (reason !== undefined) return fail(`it cannot run here: ${reason}`);
  if (!inside()) return reenter([process.execPath, import.meta.filename, ...process.argv.slice(2)]);
  const say = (line: string): void => void process.stderr.write(`${line}\n`);
  const show = (report: DemoReport): void =>
    void process.stdout.write(
      values.json ? `${JSON.stringify(report, undefined, 2)}\n` : printReport(report),
    );
  const report = await runDemo({ nodes, keep: values.keep, say, show });
  return report.ok ? 0 : 1;
}

try {
  process.exitCode = await main();
} catch (error) {
  process.exitCode = fail(error instanceof Error ? error.message : String(error));
}
