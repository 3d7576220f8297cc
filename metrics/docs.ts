/** The table of metrics as a page. Pure. */
import { PEER_LIMIT } from './samples.ts';
import { type Metric, metrics } from './table.ts';

const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('\n', ' ');

/** docs/metrics.md. */
export function metricsPage(): string {
  const rows = Object.entries<Metric>(metrics).map(
    ([name, { kind, labels, help }]) => `| \`${name}\` | ${kind} | ${labels.join(', ')} | ${cell(help)} |`,
  );
  return [
    '# Metrics',
    '<!-- Made by `npm run docs` from metrics/table.ts. Do not edit. -->',
    '',
    'Each agent answers `GET /metrics` in the text format of Prometheus, at `healthAddress` and `healthPort` (127.0.0.1:9807 unless set; [settings.md](settings.md)). For a Prometheus that is not on the node itself set `healthAddress` to an address that it reaches, and let nobody else reach it.',
    '',
    `Series per peer: up to ${PEER_LIMIT} peers have their own. Beyond that, or with the setting \`peerMetrics: problem\`, only those that are not established, and never more than ${PEER_LIMIT}; with \`none\`, no peer. \`weft_peers\` counts all of them always, so that alerts on it hold at any size.`,
    '',
    'A Grafana dashboard and alert rules are in [examples/observe](../examples/observe/README.md).',
    '',
    '| metric | kind | labels | meaning |',
    '| --- | --- | --- | --- |',
    ...rows,
    '',
  ].join('\n');
}
