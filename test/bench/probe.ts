/**
 * Loaded into an agent (NODE_OPTIONS=--import): measures how late its event loop comes round. On
 * SIGUSR2 it writes what it has found since the last time to the file WEFT_PROBE names, and begins anew.
 */
import { openSync, readSync, renameSync, writeFileSync } from 'node:fs';
import { createHistogram, monitorEventLoopDelay } from 'node:perf_hooks';

export type LoopDelay = {
  /** Milliseconds beyond the sampling interval of one. */
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
  /** The 99th percentile of what is left without the time in which the loop was ready and had no processor. */
  readonly ownP99: number;
  readonly samples: number;
  readonly cpuMs: number;
  readonly seconds: number;
  readonly rssMb: number;
};

/** Milliseconds for which this thread was ready and had no processor so far (Documentation/scheduler/sched-stats.rst). */
function openWaits(): () => number {
  const fd = openSync('/proc/thread-self/schedstat', 'r');
  const text = Buffer.alloc(100);
  return () => Number(text.toString('latin1', 0, readSync(fd, text, 0, text.length, 0)).split(' ')[1]) / 1e6;
}

/** How late a timer of a millisecond is by the loop's own doing, in microseconds. */
function watchOwn() {
  const histogram = createHistogram();
  const waits = openWaits();
  let [at, waited] = [performance.now(), waits()];
  const sample = (): void => {
    const [now, wait] = [performance.now(), waits()];
    const own = now - at - 1 - (wait - waited);
    histogram.record(Math.max(Math.round(own * 1_000), 1));
    [at, waited] = [now, wait];
    setTimeout(sample, 1);
  };
  sample();
  return histogram;
}

function probe(file: string): void {
  const resolution = 1;
  const histogram = monitorEventLoopDelay({ resolution });
  histogram.enable();
  const own = watchOwn();
  let [cpu, began] = [process.cpuUsage(), performance.now()];
  const late = (nanoseconds: number): number => Math.max(nanoseconds / 1e6 - resolution, 0);
  process.on('SIGUSR2', () => {
    const { user, system } = process.cpuUsage(cpu);
    const found: LoopDelay = {
      p50: late(histogram.percentile(50)),
      p99: late(histogram.percentile(99)),
      max: late(histogram.max),
      ownP99: own.percentile(99) / 1_000,
      samples: histogram.count,
      cpuMs: (user + system) / 1_000,
      seconds: (performance.now() - began) / 1_000,
      rssMb: process.memoryUsage.rss() / 2 ** 20,
    };
    writeFileSync(`${file}.new`, JSON.stringify(found));
    renameSync(`${file}.new`, file);
    histogram.reset();
    own.reset();
    [cpu, began] = [process.cpuUsage(), performance.now()];
  });
}

if (process.env.WEFT_PROBE !== undefined && process.argv.includes('agent')) probe(process.env.WEFT_PROBE);
