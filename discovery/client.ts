/**
 * The few verbs that weft speaks to an API server, on node:http(s) with kept connections.
 * JSON in, JSON out, typed errors; credentials are read again every minute, and at once after a 401.
 */
import {
  Agent as HttpAgent,
  request as httpRequest,
  type IncomingMessage,
  type RequestOptions,
} from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { VERSION } from '../version.ts';
import { ApiError, messageOf } from './api-error.ts';
import { type Access, type Credentials, findAccess, readCredentials } from './kubeconfig.ts';

export type ClientOptions = {
  /** Path of a kubeconfig; undefined: the pod's service account, else KUBECONFIG. */
  readonly kubeconfig?: string | undefined;
  /** Replaces the server's URL. */
  readonly apiServer?: string | undefined;
  /** For one request from its start to the last byte of its answer; a stream has no such end. */
  readonly timeoutMs?: number;
};

export type Query = Readonly<Record<string, string | number | undefined>>;

export type CallOptions = {
  readonly query?: Query;
  /** Accept header; JSON unless given. */
  readonly accept?: string;
  readonly signal?: AbortSignal;
};

export type PatchOptions = CallOptions & { readonly strategic?: boolean };

export type Client = {
  readonly server: string;
  /** Parsed JSON of a 2xx answer. All verbs reject with ApiError. */
  readonly get: (path: string, options?: CallOptions) => Promise<unknown>;
  /** Merge patch (RFC 7386); `strategic`: Kubernetes' own, in which lists such as conditions are merged by their key. */
  readonly patch: (path: string, body: unknown, options?: PatchOptions) => Promise<unknown>;
  readonly post: (path: string, body: unknown, options?: CallOptions) => Promise<unknown>;
  /** The body of a 2xx answer as it comes; the caller reads or destroys it, and watches its pauses. */
  readonly stream: (
    path: string,
    options: CallOptions & { readonly headersMs: number },
  ) => Promise<IncomingMessage>;
  /** All connections are given up and made anew: ours are dead without a word when their address is gone. */
  readonly reconnect: () => void;
  readonly close: () => void;
};

const CREDENTIALS_MS = 60_000;

/** More than any page that we ask for; a server gone mad must not fill the memory. */
const MAX_BODY = 64 * 2 ** 20;

type Login = { readonly credentials: Credentials; readonly agent: HttpAgent; readonly readAt: number };

function makeAgent(server: string, c: Credentials): HttpAgent {
  const kept = { keepAlive: true, keepAliveMsecs: 30_000, maxFreeSockets: 2, scheduling: 'lifo' as const };
  if (server.startsWith('http:')) return new HttpAgent(kept);
  return new HttpsAgent({
    ...kept,
    ...(c.ca && { ca: c.ca }),
    ...(c.cert && { cert: c.cert }),
    ...(c.key && { key: c.key }),
    ...(c.serverName && { servername: c.serverName }),
    rejectUnauthorized: !c.insecure,
  });
}

const tlsOf = (c: Credentials): string =>
  [c.ca, c.cert, c.key].map(part => part?.toString('base64') ?? '').join('.');

/** Credentials and the agent that was made with them; the agent lives on while they are the same. */
function openLogins(access: Access) {
  let login: Login | undefined;
  let reading: Promise<Login> | undefined;
  const read = async (): Promise<Login> => {
    const credentials = await readCredentials(access);
    const same = login !== undefined && tlsOf(login.credentials) === tlsOf(credentials);
    if (!same) login?.agent.destroy();
    const agent = same && login ? login.agent : makeAgent(access.server, credentials);
    login = { credentials, agent, readAt: performance.now() };
    return login;
  };
  return {
    current: async (): Promise<Login> => {
      if (login !== undefined && performance.now() - login.readAt < CREDENTIALS_MS) return login;
      reading ??= read().finally(() => {
        reading = undefined;
      });
      return reading;
    },
    /** The next request reads the files again. */
    forget: (): void => {
      if (login) login = { ...login, readAt: Number.NEGATIVE_INFINITY };
    },
    /** Breaks every connection; the next request opens one. */
    reconnect: (): void => {
      login?.agent.destroy();
      if (login) login = { ...login, agent: makeAgent(access.server, login.credentials) };
    },
    close: (): void => login?.agent.destroy(),
  };
}

function withQuery(path: string, query: Query = {}): string {
  const given = Object.entries(query).filter(([, value]) => value !== undefined);
  const text = new URLSearchParams(
    given.map(([key, value]): [string, string] => [key, String(value)]),
  ).toString();
  return text === '' ? path : `${path}?${text}`;
}

type Call = {
  readonly method: string;
  readonly path: string;
  readonly options: CallOptions;
  readonly body?: string;
  readonly contentType?: string;
};

function requestOptions(call: Call, { credentials, agent }: Login, signal: AbortSignal): RequestOptions {
  const { body, contentType, options } = call;
  return {
    method: call.method,
    agent,
    signal,
    headers: {
      Accept: options.accept ?? 'application/json',
      'User-Agent': `weft/${VERSION}`,
      ...(credentials.authorization && { Authorization: credentials.authorization }),
      ...(body !== undefined && { 'Content-Type': contentType, 'Content-Length': Buffer.byteLength(body) }),
      ...credentials.headers,
    },
  };
}

async function readText(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_BODY) throw new Error(`the answer is larger than ${MAX_BODY} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** Seconds or an HTTP date. */
function parseRetryAfter(header: string | undefined): number | undefined {
  if (header === undefined) return undefined;
  if (/^\d+$/.test(header)) return Number(header) * 1_000;
  const at = Date.parse(header);
  return Number.isNaN(at) ? undefined : Math.max(0, at - Date.now());
}

function statusOf(text: string): { readonly reason?: string; readonly message?: string } {
  try {
    const json: unknown = JSON.parse(text);
    return typeof json === 'object' && json !== null ? json : {};
  } catch {
    return { message: text.trim().slice(0, 200) };
  }
}

async function refuse(call: Call, response: IncomingMessage): Promise<ApiError> {
  const status = response.statusCode ?? 0;
  const { reason, message } = statusOf(await readText(response).catch(() => ''));
  return new ApiError(
    `${call.method} ${call.path}: ${status} ${message || response.statusMessage || ''}`.trim(),
    {
      status,
      reason,
      retryAfterMs: parseRetryAfter(response.headers['retry-after']),
    },
  );
}

/** Opens the way to the API server; makes no request yet. Rejects where credentials cannot be found. */
export async function openClient(options: ClientOptions = {}): Promise<Client> {
  const access = await findAccess(options);
  return clientOf(access, options.timeoutMs ?? 30_000);
}

/** A client of known access. */
export function clientOf(access: Access, timeoutMs: number): Client {
  const logins = openLogins(access);
  const send = access.server.startsWith('http:') ? httpRequest : httpsRequest;

  const once = async (call: Call, signal: AbortSignal): Promise<IncomingMessage> => {
    const login = await logins.current();
    const url = new URL(access.server + withQuery(call.path, call.options.query));
    return new Promise((resolve, reject) => {
      let answered = false;
      const request = send(url, requestOptions(call, login, signal), response => {
        answered = true;
        // Its reader may be gone when the connection breaks; an error without a listener ends the process.
        response.on('error', () => {});
        resolve(response);
      });
      // A kept connection that the server closed meanwhile: one more try on a new one, where that is safe.
      request.on('error', error => {
        const again = request.reusedSocket && !answered && !signal.aborted && call.method !== 'POST';
        if (again) once(call, signal).then(resolve, reject);
        else reject(error);
      });
      request.end(call.body);
    });
  };

  const answer = async (call: Call, signal: AbortSignal): Promise<IncomingMessage> => {
    const response = await once(call, signal);
    const status = response.statusCode ?? 0;
    if (status === 401) logins.forget();
    if (status >= 200 && status < 300) return response;
    throw await refuse(call, response);
  };

  const fault = (call: Call, error: unknown, late: string | undefined): ApiError => {
    if (error instanceof ApiError) return error;
    const code = (error as NodeJS.ErrnoException).code;
    return new ApiError(`${call.method} ${access.server}${call.path}: ${late ?? messageOf(error)}`, {
      reason: late === undefined ? code : 'Timeout',
      cause: error,
    });
  };

  /** Runs `use` on the answer; both end when the caller's signal aborts, or late. */
  const exchange = async <T>(
    call: Call,
    limitMs: number,
    use: (response: IncomingMessage, settle: () => void) => Promise<T> | T,
  ): Promise<T> => {
    const { signal } = call.options;
    signal?.throwIfAborted();
    const control = new AbortController();
    const abort = (): void => control.abort();
    let late: string | undefined;
    const timer = setTimeout(() => {
      late = `no answer within ${limitMs / 1_000} s`;
      abort();
    }, limitMs);
    signal?.addEventListener('abort', abort, { once: true });
    const settle = (): void => signal?.removeEventListener('abort', abort);
    try {
      return await use(await answer(call, control.signal), settle);
    } catch (error) {
      settle();
      throw fault(call, error, late);
    } finally {
      clearTimeout(timer);
    }
  };

  const json = (call: Call): Promise<unknown> =>
    exchange(call, timeoutMs, async (response, settle) => {
      const text = await readText(response);
      settle();
      return JSON.parse(text) as unknown;
    });

  const write =
    (method: string, contentType: string) =>
    (path: string, body: unknown, options: CallOptions = {}) =>
      json({ method, path, options, body: JSON.stringify(body), contentType });

  return {
    server: access.server,
    get: (path, options = {}) => json({ method: 'GET', path, options }),
    patch: (path, body, { strategic, ...options } = {}) =>
      write('PATCH', `application/${strategic ? 'strategic-merge' : 'merge'}-patch+json`)(
        path,
        body,
        options,
      ),
    post: write('POST', 'application/json'),
    stream: (path, options) =>
      exchange({ method: 'GET', path, options }, options.headersMs, (response, settle) =>
        response.on('close', settle),
      ),
    reconnect: logins.reconnect,
    close: logins.close,
  };
}
