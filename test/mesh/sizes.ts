/** Packets, connections and SYNs of which the size is what matters, between two pods. */
import type { ChildProcess } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Pod } from '../lab/runtime.ts';
import { until } from '../lab/wait.ts';

/** Counts what comes on a connection and says so at its end. */
const SERVER = `require('net').createServer({ allowHalfOpen: true }, s => {
  let n = 0; s.on('data', d => { n += d.length; }); s.on('end', () => s.end(String(n))); s.on('error', () => {});
}).listen(7, '::')`;

/** Sends so many bytes over so many milliseconds, and prints what the server counted. */
const CLIENT = `const [host, bytes, ms] = process.argv.slice(1);
const s = require('net').connect(7, host); let got = '';
const parts = 20; let part = 0;
const send = () => { s.write(Buffer.alloc(bytes / parts)); part += 1; part < parts ? setTimeout(send, ms / parts) : s.end(); };
s.on('connect', send); s.on('data', d => { got += d; }); s.on('end', () => console.log(got));
s.on('error', e => { console.log(e.code); process.exit(); });`;

/** For `transfer`; resolves when it listens. */
export async function serve({ namespace }: Pod): Promise<ChildProcess> {
  const server = namespace.start([process.execPath, '-e', SERVER]);
  await until('the server', async () => (await namespace.run(['ss', '-Hltn', 'sport = :7'])) || undefined);
  return server;
}

/** What the server counted, or the errno; both in one answer. */
export const transfer = async (from: Pod, to: string | undefined, bytes: number, ms = 0): Promise<string> =>
  (
    await from.namespace.run([process.execPath, '-e', CLIENT, to ?? '', String(bytes), String(ms)], {
      timeoutMs: 60_000,
    })
  ).trim();

/** Packets of `size` bytes in all, which nobody may cut: `ok`, `too large` as the sender is told, or all `lost`. */
export async function packet(from: Pod, to: string | undefined, size: number): Promise<string> {
  const payload = size - (to?.includes(':') ? 48 : 28);
  const argv = ['ping', '-n', '-M', 'do', '-c', '3', '-i', '0.3', '-W', '1', '-s', String(payload), to ?? ''];
  const said = await from.namespace.run(argv).catch(error => `${error.stdout}${error.stderr}`);
  return / [1-3] received/.test(said)
    ? 'ok'
    : /[Ff]rag needed|too big|too long/.test(said)
      ? 'too large'
      : 'lost';
}

/** The size of segments that the SYN asks for, as `to` sees it. */
export async function askedFor(from: Pod, to: Pod, address: string | undefined): Promise<number> {
  const sniff = ['tcpdump', '-i', 'eth0', '-n', '-v', '-c', '1', '--immediate-mode'];
  const only = 'dst port 7 and (tcp[13] & 2 != 0 or ip6[53] & 2 != 0)';
  const seen = to.namespace.run([...sniff, only]);
  await sleep(500);
  await transfer(from, address, 20);
  return Number(/mss (\d+)/.exec(await seen)?.[1]);
}
