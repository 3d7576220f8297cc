/** A program in an agent's pod, by the API server's websocket. Of client-node only its exec part is loaded. */
import { PassThrough } from 'node:stream';
import type { V1Status } from '@kubernetes/client-node';
import { Exec } from '@kubernetes/client-node/dist/exec.js';
import { WebSocketHandler } from '@kubernetes/client-node/dist/web-socket-handler.js';
import { type Access, readCredentials } from '../discovery/kubeconfig.ts';

/** Pod, argv, milliseconds → what it wrote to its standard output. Rejects with its standard error where it failed. */
export type RunInPod = (pod: string, argv: readonly string[], timeoutMs: number) => Promise<string>;

/** The two methods of a KubeConfig that exec calls. */
const configOf = (access: Access) => ({
  getCurrentCluster: () => ({ ...access.cluster, server: access.server }),
  applyToHTTPSOptions: async (options: Record<string, unknown>): Promise<void> => {
    const c = await readCredentials(access);
    Object.assign(options, {
      ...(c.ca && { ca: c.ca }),
      ...(c.cert && { cert: c.cert }),
      ...(c.key && { key: c.key }),
      ...(c.serverName && { servername: c.serverName }),
      rejectUnauthorized: !c.insecure,
      headers: { ...(c.authorization && { Authorization: c.authorization }), ...c.headers },
    });
  },
});

const collect = (stream: PassThrough): (() => string) => {
  const chunks: Buffer[] = [];
  stream.on('data', (chunk: Buffer) => chunks.push(chunk));
  return () => Buffer.concat(chunks).toString('utf8');
};

/** The handshake's refusal, in the API server's words. */
const refusal = (error: unknown): string => {
  const message = error instanceof Error ? error.message : String((error as { message?: unknown }).message);
  return /403/.test(message)
    ? 'the API server refuses exec into it (403): your user needs get and create on pods/exec in that namespace'
    : message;
};

export function openExec(access: Access, namespace: string): RunInPod {
  // Without streams of its own it would end this process's standard output at the server's word.
  const streams = { stdin: new PassThrough(), stdout: new PassThrough(), stderr: new PassThrough() };
  const handler = new WebSocketHandler(configOf(access) as never, undefined, streams);
  const exec = new Exec(undefined as never, handler);
  return (pod, argv, timeoutMs) =>
    new Promise((resolve, reject) => {
      const out = new PassThrough();
      const err = new PassThrough();
      const [stdout, stderr] = [collect(out), collect(err)];
      let close = (): void => {};
      let settled = false;
      const settle = (finish: () => void): void => {
        settled = true;
        clearTimeout(timer);
        finish();
        close();
      };
      const timer = setTimeout(
        () => settle(() => reject(new Error(`pod ${pod}: no answer within ${timeoutMs / 1_000} s`))),
        timeoutMs,
      );
      const ended = ({ status, message }: V1Status): void =>
        settle(() =>
          status === 'Success'
            ? resolve(stdout())
            : reject(new Error(stderr().trim() || `pod ${pod}: ${message}`)),
        );
      exec.exec(namespace, pod, 'agent', [...argv], out, err, null, false, ended).then(
        socket => {
          close = () => socket.close();
          // Too late: without its end this program would not end either.
          if (settled) close();
          socket.onclose = () => settle(() => reject(new Error(`pod ${pod}: the connection was closed`)));
        },
        (error: unknown) => settle(() => reject(new Error(`pod ${pod}: ${refusal(error)}`))),
      );
    });
}
