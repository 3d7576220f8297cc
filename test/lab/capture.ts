/** Packets recorded on a link, and what they were. */
import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { here } from './namespace.ts';

export type Capture = {
  /** Ends the recording and answers questions about it. */
  readonly stop: () => Promise<Recording>;
};

export type Recording = {
  /** Packets that match an expression of tcpdump's. */
  readonly count: (filter: string) => Promise<number>;
  /** Whether any packet holds these bytes anywhere. */
  readonly holds: (bytes: Buffer) => boolean;
};

const started = (child: ChildProcess): Promise<void> =>
  new Promise((resolve, reject) => {
    child.stderr?.on('data', chunk => {
      if (String(chunk).includes('listening on')) resolve();
    });
    child.once('error', reject);
    child.once('exit', code => reject(new Error(`tcpdump ended with ${code} before it began`)));
  });

/** Records whole packets on `link` into `file`; resolves once it listens. `enter` puts tcpdump elsewhere. */
export async function record(link: string, file: string, enter: readonly string[] = []): Promise<Capture> {
  const argv = [
    ...enter,
    'tcpdump',
    '-i',
    link,
    '-n',
    '-s',
    '0',
    '-U',
    '--immediate-mode',
    '-B',
    '8192',
    '-w',
    file,
  ];
  const child = spawn(argv[0] as string, argv.slice(1), { stdio: ['ignore', 'ignore', 'pipe'] });
  await started(child);
  const stop = async (): Promise<Recording> => {
    const ended = new Promise(resolve => child.once('exit', resolve));
    child.kill('SIGINT');
    await ended;
    return {
      count: async filter => {
        const lines = await here(['tcpdump', '-n', '-r', file, filter]);
        return lines.split('\n').filter(Boolean).length;
      },
      holds: bytes => readFileSync(file).includes(bytes),
    };
  };
  return { stop };
}
