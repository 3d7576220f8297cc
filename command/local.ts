/** The agent of this node, by its unix socket, which only root may open. */
import { request } from 'node:http';
import { type Agents, parseAnswer } from './agents.ts';

const TIMEOUT_MS = 10_000;

function ask(socketPath: string, method: string, path: string, timeoutMs: number): Promise<string> {
  const to = { socketPath, method, path, timeout: timeoutMs, headers: { host: 'weft' } };
  return new Promise((resolve, reject) => {
    const call = request(to, response => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', chunk => {
        body += chunk;
      });
      response.on('error', reject);
      response.on('end', () =>
        Math.floor((response.statusCode ?? 0) / 100) === 2
          ? resolve(body)
          : reject(new Error(`${method} ${path}: ${body.trim()}`)),
      );
    });
    call.on('timeout', () => call.destroy(new Error(`no answer within ${timeoutMs / 1_000} s`)));
    call.on('error', error =>
      reject(
        (error as NodeJS.ErrnoException).code === 'ECONNREFUSED'
          ? new Error(`the agent of this node is not running: nobody listens on ${socketPath}${HINT}`)
          : error,
      ),
    );
    call.end();
  });
}

/** What an error says beside the fact itself. */
export const HINT = '; weft doctor says what can be seen without it';

export function openLocal(socketPath: string): Agents {
  const get = async (path: string, timeoutMs = TIMEOUT_MS): Promise<unknown> =>
    parseAnswer(await ask(socketPath, 'GET', path, timeoutMs));
  let name: Promise<string> | undefined;
  return {
    kind: 'local',
    list: async () => {
      name ??= get('/status').then(status => (status as { readonly node: string }).node);
      return [{ node: await name, pod: undefined, absent: undefined }];
    },
    get: (_node, path, timeoutMs) => get(path, timeoutMs),
    post: async path => parseAnswer(await ask(socketPath, 'POST', path, TIMEOUT_MS)),
    close: () => {},
  };
}
