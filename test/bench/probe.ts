/**
 * Loaded into an agent (NODE_OPTIONS=--import): measures how late its event loop comes round. On
 * SIGUSR2 it writes what it has found since the last time to the file WEFT_PROBE names, and begins anew.
 */
import { renameSync, writeFileSync } from 'node:fs';
import { monitorEventLoopDelay } from 'node:perf_hooks';

export type LoopDelay = {
  /** Milliseconds beyond the sampling interval of one. */
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
  readonly samples: number;
  readonly cpuMs: number;
  readonly seconds: number;
  readonly rssMb: number;
};

function probe(file: string): void {
  const resolution = 1;
  const histogram = monitorEventLoopDelay({ resolution });
  histogram.enable();
  let [cpu, began] = [process.cpuUsage(), performance.now()];
  const late = (nanoseconds: number): number => Math.max(nanoseconds / 1e6 - resolution, 0);
  process.on('SIGUSR2', () => {
    const { user, system } = process.cpuUsage(cpu);
    const found: LoopDelay = {
      p50: late(histogram.percentile(50)),
      p99: late(histogram.percentile(99)),
      max: late(histogram.max),
      samples: histogram.count,
      cpuMs: (user + system) / 1_000,
      seconds: (performance.now() - began) / 1_000,
      rssMb: process.memoryUsage.rss() / 2 ** 20,
    };
    writeFileSync(`${file}.new`, JSON.stringify(found));
    renameSync(`${file}.new`, file);
    histogram.reset();
    [cpu, began] = [process.cpuUsage(), performance.now()];
  });
}

if (process.env.WEFT_PROBE !== undefined && process.argv.includes('agent')) probe(process.env.WEFT_PROBE);
