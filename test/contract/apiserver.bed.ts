/** What the contract suite speaks to: any Kubernetes API server, over plain node:http(s), and no client of ours. */
import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { createInterface } from 'node:readline';

/** A server under test. Nothing but the suite changes its objects. */
export type Server = {
  /** `http://127.0.0.1:PORT` */
  readonly url: string;
  readonly ca?: string;
  /** Bearer token of a user who may do everything. */
  readonly token: string;
  /** Forgets all versions before now, as a compaction does; watches may end. */
  readonly forget: () => Promise<void>;
  /** What a namespace needs before it takes Pods, such as a service account. */
  readonly admitPods?: (namespace: string) => Promise<unknown>;
  readonly stop: () => Promise<void>;
};

export type Call = {
  readonly method?: string;
  readonly accept?: string;
  readonly contentType?: string;
  /** JSON unless it is text already. */
  readonly body?: unknown;
  /** Another token; null for none. */
  readonly token?: string | null;
};

export type Answer = {
  readonly status: number;
  readonly contentType: string;
  readonly text: string;
  // biome-ignore lint/suspicious/noExplicitAny: the suite looks into answers of every shape.
  readonly json: any;
};

// biome-ignore lint/suspicious/noExplicitAny: likewise.
export type Event = { readonly type: string; readonly object: any };

/** Type of what stands for a line that is no JSON; its object is the line. */
export const UNREADABLE = 'UNREADABLE';

export type Watch = {
  readonly status: number;
  readonly contentType: string;
  /** The next event; rejects when none comes within `withinMs` or the server ends the watch. */
  readonly next: (withinMs?: number) => Promise<Event>;
  /** All events until the server ends the watch; rejects where it does not. */
  readonly rest: () => Promise<readonly Event[]>;
  readonly close: () => void;
};

export type Bed = {
  readonly call: (path: string, call?: Call) => Promise<Answer>;
  readonly watch: (path: string, accept?: string) => Promise<Watch>;
  readonly forget: () => Promise<void>;
  readonly admitPods: (namespace: string) => Promise<unknown>;
  readonly close: () => Promise<void>;
};

export const AS_LIST = 'application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io';
export const AS_OBJECT = 'application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io';
export const MERGE = 'application/merge-patch+json';

/** Without the bookkeeping of server-side apply, in which servers may differ. */
export function withoutManagedFields(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutManagedFields);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([key]) => key !== 'managedFields')
      .map(([key, inner]) => [key, withoutManagedFields(inner)]),
  );
}

const parse = (text: string): unknown => {
  try {
    return withoutManagedFields(JSON.parse(text));
  } catch {
    return undefined;
  }
};

async function textOf(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of response as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

const contentTypeOf = (response: IncomingMessage): string =>
  (response.headers['content-type'] ?? '').split(';')[0] ?? '';

function watchOf(response: IncomingMessage): Watch {
  response.on('error', () => {});
  const lines = createInterface(response)[Symbol.asyncIterator]();
  const line = async (): Promise<Event | undefined> => {
    // A connection that is cut is an end like another.
    const { value, done } = await lines.next().catch(() => ({ value: undefined, done: true }));
    if (done || value === undefined) return undefined;
    return (parse(value) as Event | undefined) ?? { type: UNREADABLE, object: value };
  };
  const within = async <T>(ms: number, what: string, wanted: Promise<T>): Promise<T> => {
    const late = AbortSignal.timeout(ms);
    const tooLate = new Promise<never>((_, reject) =>
      late.addEventListener('abort', () => reject(new Error(`${what} within ${ms} ms`))),
    );
    return Promise.race([wanted, tooLate]);
  };
  const all = async (): Promise<readonly Event[]> => {
    const events: Event[] = [];
    for (let event = await line(); event !== undefined; event = await line()) events.push(event);
    return events;
  };
  const next = async (ms = 10_000): Promise<Event> => {
    const event = await within(ms, 'no event came', line());
    if (event === undefined) throw new Error('the server ended the watch');
    return event;
  };
  return {
    status: response.statusCode ?? 0,
    contentType: contentTypeOf(response),
    next,
    rest: () => within(15_000, 'the server did not end the watch', all()),
    close: () => response.destroy(),
  };
}

/** The suite's way to speak to a server. */
export function bedOf(server: Server): Bed {
  const secure = server.url.startsWith('https:');
  const agent = secure
    ? new HttpsAgent({ keepAlive: true, ...(server.ca && { ca: server.ca }) })
    : new HttpAgent({ keepAlive: true });

  const send = (path: string, call: Call): Promise<IncomingMessage> =>
    new Promise((resolve, reject) => {
      const { method = 'GET', accept, contentType, body, token } = call;
      const text = body === undefined || typeof body === 'string' ? body : JSON.stringify(body);
      const bearer = token === undefined ? server.token : token;
      const headers = {
        'user-agent': 'weft-contract',
        ...(accept !== undefined && { accept }),
        ...(bearer !== null && { authorization: `Bearer ${bearer}` }),
        ...(text !== undefined && {
          'content-type': contentType ?? 'application/json',
          'content-length': Buffer.byteLength(text),
        }),
      };
      const request = (secure ? httpsRequest : httpRequest)(server.url + path, { method, headers, agent });
      request.once('response', resolve);
      // A kept connection that the server has closed meanwhile: once more on a new one.
      request.once('error', error => {
        if (request.reusedSocket) send(path, call).then(resolve, reject);
        else reject(error);
      });
      request.end(text);
    });

  return {
    call: async (path, call = {}) => {
      const response = await send(path, call);
      const text = await textOf(response);
      return {
        status: response.statusCode ?? 0,
        contentType: contentTypeOf(response),
        text,
        json: parse(text),
      };
    },
    watch: async (path, accept) => watchOf(await send(path, accept === undefined ? {} : { accept })),
    forget: async () => {
      await server.forget();
      agent.destroy();
    },
    admitPods: async namespace => server.admitPods?.(namespace),
    close: async () => {
      agent.destroy();
      await server.stop();
    },
  };
}
