/** The agent's metrics: rooms record what happens, a scrape collects the rest. */
import Counter from 'prom-client/lib/counter.js';
import Gauge from 'prom-client/lib/gauge.js';
import Histogram from 'prom-client/lib/histogram.js';
import Registry from 'prom-client/lib/registry.js';
import type { Sample } from './samples.ts';
import { type Metric, type MetricName, metrics, RECORDED, type Recorded } from './table.ts';

type Labels = Readonly<Record<string, string>>;

export type Metrics = {
  /** Seconds that something took, or 1 for something that happened. */
  readonly record: (name: Recorded, value: number, labels?: Labels) => void;
  /** The text of /metrics: what was recorded, and these samples. */
  readonly text: (samples: readonly Sample[]) => Promise<string>;
};

export const CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

type Instrument =
  | { readonly kind: 'counter'; readonly of: Counter }
  | { readonly kind: 'gauge'; readonly of: Gauge }
  | { readonly kind: 'histogram'; readonly of: Histogram };

function instrument(name: string, metric: Metric, registers: readonly Registry[]): Instrument {
  const options = {
    name,
    help: metric.help,
    labelNames: [...metric.labels],
    registers: [...registers],
  };
  switch (metric.kind) {
    case 'counter':
      return { kind: 'counter', of: new Counter(options) };
    case 'gauge':
      return { kind: 'gauge', of: new Gauge(options) };
    case 'histogram':
      return { kind: 'histogram', of: new Histogram({ ...options, buckets: [...(metric.buckets ?? [])] }) };
  }
}

export function openMetrics(): Metrics {
  const registry = new Registry();
  const all = new Map(
    Object.entries<Metric>(metrics).map(([name, metric]) => [name, instrument(name, metric, [registry])]),
  );
  const get = (name: MetricName): Instrument => all.get(name) as Instrument;

  const record = (name: Recorded, value: number, labels: Labels = {}): void => {
    const { kind, of } = get(name);
    if (kind === 'histogram') of.observe(labels, value);
    else if (kind === 'counter') of.inc(labels, value);
  };

  const put = ({ name, labels, value }: Sample): void => {
    const { kind, of } = get(name);
    if (kind === 'gauge') of.set(labels, value);
    // The count is kept elsewhere and was reset here just now.
    else if (kind === 'counter') of.inc(labels, value);
  };

  const collected = [...all].filter(([name]) => !(RECORDED as readonly string[]).includes(name));

  /** Peers that are gone must not stand there for ever, and what is not known is absent: a 0 would be a count that began anew. */
  const forget = (name: string, { kind, of }: Instrument): void => {
    of.reset();
    if (kind !== 'histogram' && metrics[name as MetricName].labels.length === 0) of.remove();
  };

  const text = async (samples: readonly Sample[]): Promise<string> => {
    for (const [name, one] of collected) forget(name, one);
    for (const sample of samples) put(sample);
    return registry.metrics();
  };
  return { record, text };
}
