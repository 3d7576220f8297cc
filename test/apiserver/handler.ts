/** One request: path, verb and headers → the store's answer. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Faults } from './faults.ts';
import { listObject } from './list.ts';
import { show, viewOf } from './negotiate.ts';
import { isObject, type Json } from './object.ts';
import { parsePath, type Target } from './resources.ts';
import { matcher } from './selector.ts';
import {
  ApiFailure,
  badRequest,
  internalError,
  methodNotAllowed,
  noSuchPath,
  statusObject,
  unauthorized,
  unsupportedMedia,
} from './status.ts';
import type { Part, Store } from './store.ts';
import { serveWatch } from './watch.ts';

export type HandlerOptions = {
  readonly store: Store;
  /** Bearer token that every request must show; undefined: none. */
  readonly token: string | undefined;
  readonly faults: () => Faults;
  /** Watches under way, so that a stop can end them. */
  readonly watches: Set<() => void>;
};

const MAX_BODY = 3 << 20;
const MERGE = 'application/merge-patch+json';
const DEFAULT_WATCH_SECONDS = 1_800;

function sendJson(response: ServerResponse, code: number, body: unknown): void {
  const text = JSON.stringify(body);
  response.writeHead(code, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) });
  response.end(text);
}

async function readBody(request: IncomingMessage): Promise<Json> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request) {
    size += (chunk as Buffer).length;
    if (size > MAX_BODY) throw badRequest('the body is too large');
    chunks.push(chunk as Buffer);
  }
  try {
    const value: unknown = JSON.parse(Buffer.concat(chunks).toString());
    if (isObject(value)) return value;
  } catch {
    // Said below.
  }
  throw badRequest('the body of the request is no JSON object');
}

type Call = {
  readonly options: HandlerOptions;
  readonly target: Target;
  readonly query: URLSearchParams;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
};

const partOf = ({ subresource }: Target): Part => {
  if (subresource !== undefined && subresource !== 'status') throw noSuchPath();
  return subresource === 'status' ? 'status' : 'main';
};

function collection({ options, target, query, request, response }: Call): void {
  const { store, faults, watches } = options;
  const matches = matcher(query.get('labelSelector'), query.get('fieldSelector'));
  const within = (namespace: string | undefined) =>
    target.namespace === undefined || namespace === target.namespace;
  const selected = faults().emptyList
    ? []
    : store.list(target.resource).filter(o => within(o.metadata.namespace) && matches(o));
  if (!['true', '1'].includes(query.get('watch') ?? '')) {
    const view = viewOf(request.headers.accept, true);
    sendJson(
      response,
      200,
      listObject(
        store,
        target.resource,
        selected,
        view,
        Number(query.get('limit') ?? 0),
        query.get('continue'),
      ),
    );
    return;
  }
  const version = query.get('resourceVersion');
  if (version && !/^\d+$/.test(version))
    throw badRequest(`invalid resource version ${JSON.stringify(version)}`);
  const from = version && version !== '0' ? Number(version) : undefined;
  const stop = serveWatch(
    store,
    {
      plural: target.resource.plural,
      from,
      existing: from === undefined ? selected : [],
      matches: object => within(object.metadata.namespace) && matches(object),
      view: viewOf(request.headers.accept, false),
      bookmarks: query.get('allowWatchBookmarks') === 'true',
      timeoutSeconds: Number(query.get('timeoutSeconds') ?? DEFAULT_WATCH_SECONDS),
    },
    response,
    faults,
  );
  watches.add(stop);
  response.on('close', () => watches.delete(stop));
}

async function patch(call: Call, name: string): Promise<Json> {
  const { options, target, request } = call;
  const type = (request.headers['content-type'] ?? '').split(';')[0]?.trim();
  if (type !== MERGE && type !== 'application/strategic-merge-patch+json')
    throw unsupportedMedia(
      `the body of the request was in an unknown format - accepted media types include: ${MERGE}`,
    );
  return options.store.patch(
    target.resource,
    target.namespace,
    name,
    await readBody(request),
    partOf(target),
  );
}

async function single(call: Call, name: string): Promise<void> {
  const { options, target, request, response } = call;
  const { store } = options;
  const { resource, namespace } = target;
  const view = viewOf(request.headers.accept, false);
  const answer = (object: unknown): void => sendJson(response, 200, object);
  switch (request.method ?? '') {
    case 'GET':
      partOf(target);
      return answer(show(store.get(resource, namespace, name), view));
    case 'PATCH':
      return answer(show((await patch(call, name)) as ReturnType<Store['get']>, view));
    case 'PUT':
      return answer(store.replace(resource, namespace, name, await readBody(request), partOf(target)));
    case 'DELETE': {
      const removed = store.remove(resource, namespace, name);
      return answer({
        kind: 'Status',
        apiVersion: 'v1',
        metadata: {},
        status: 'Success',
        details: { name, kind: resource.plural, uid: removed.metadata.uid },
      });
    }
    default:
      throw methodNotAllowed();
  }
}

const VERSION = { major: '1', minor: '36', gitVersion: 'v1.36.3', platform: 'linux/amd64' };

async function dispatch(
  options: HandlerOptions,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const url = new URL(request.url ?? '/', 'http://server');
  if (['/readyz', '/healthz', '/livez'].includes(url.pathname)) return void response.end('ok');
  if (options.token !== undefined && request.headers.authorization !== `Bearer ${options.token}`)
    throw unauthorized();
  if (url.pathname === '/version') return sendJson(response, 200, VERSION);
  const target = parsePath(url.pathname);
  if (target === undefined) throw noSuchPath();
  const call: Call = { options, target, query: url.searchParams, request, response };
  if (target.name !== undefined) return single(call, target.name);
  if (request.method === 'GET') return collection(call);
  if (request.method !== 'POST') throw methodNotAllowed();
  sendJson(response, 201, options.store.create(target.resource, target.namespace, await readBody(request)));
}

/** What node:http calls. Never throws. */
export async function handle(
  options: HandlerOptions,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { close, hang, delayMs = 0, status } = options.faults();
  if (close) return void request.socket.destroy();
  if (hang) return;
  if (delayMs > 0) await new Promise(resolve => setTimeout(resolve, delayMs));
  try {
    if (status !== undefined)
      throw new ApiFailure({
        code: status,
        reason: 'InternalError',
        message: `ordered by the test: ${status}`,
      });
    await dispatch(options, request, response);
  } catch (error) {
    const failure = error instanceof ApiFailure ? error : internalError(String(error));
    if (!response.headersSent) sendJson(response, failure.status.code, statusObject(failure.status));
    else response.destroy();
  }
}
