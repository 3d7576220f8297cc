/** One request: path, verb and headers → the store's answer. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { toGroup } from './events.ts';
import { befalling, type Faults } from './faults.ts';
import { documentAt } from './groups.ts';
import { listObject } from './list.ts';
import { show, type View, viewOf } from './negotiate.ts';
import type { KubeObject } from './object.ts';
import { isWatch, listOptions, watchOptions } from './options.ts';
import { GROUP_EVENTS, parsePath, RESOURCES, type Target } from './resources.ts';
import {
  ApiFailure,
  failure,
  forbidden,
  methodNotAllowed,
  noSuchResource,
  statusObject,
  unauthorized,
} from './status.ts';
import type { Store } from './store.ts';
import { serveWatch } from './watch.ts';
import { create, keptAs, patch, remove, replace } from './writes.ts';

export type HandlerOptions = {
  readonly store: Store;
  /** Bearer token that every request must show; undefined: none. */
  readonly token: string | undefined;
  readonly bookmarkMs: number;
  readonly faults: () => Faults;
  /** Watches under way, so that a stop can end them. */
  readonly watches: Set<() => void>;
  readonly log: (line: string) => void;
};

type Call = {
  readonly options: HandlerOptions;
  readonly target: Target;
  readonly method: string;
  readonly query: URLSearchParams;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly faults: () => Faults;
};

function send(response: ServerResponse, code: number, type: string, text: string, headers = {}): void {
  const length = { 'content-type': type, 'content-length': Buffer.byteLength(text) };
  response.writeHead(code, { ...length, 'cache-control': 'no-cache, private', ...headers });
  response.end(text);
}

const sendJson = (response: ServerResponse, code: number, body: unknown, headers = {}): void =>
  send(response, code, 'application/json', JSON.stringify(body), headers);

/** As the path's group spells it. */
const spelled = ({ resource }: Target, object: KubeObject): KubeObject =>
  resource === GROUP_EVENTS ? toGroup(object) : object;

/** A store in the spelling of the second Events, for lists and watches. */
const spelledStore = ({ options: { store }, target }: Call): Store =>
  target.resource !== GROUP_EVENTS
    ? store
    : {
        ...store,
        list: (_, at) => store.list(keptAs(target.resource), at).map(toGroup),
        since: (plural, version) =>
          store.since(plural, version).map(change => ({ ...change, object: toGroup(change.object) })),
        subscribe: listener =>
          store.subscribe(change =>
            listener(
              change.plural === target.resource.plural
                ? { ...change, object: toGroup(change.object) }
                : change,
            ),
          ),
      };

function list(call: Call): void {
  const { target, query, request, response } = call;
  const view = viewOf(request.headers.accept, 'list');
  const { emptyList, staleList } = call.faults();
  const asked = listOptions(target, query);
  const options = {
    ...asked,
    ...(emptyList && { matches: () => false }),
    ...(staleList !== undefined && { version: staleList, match: 'Exact' as const, continue: undefined }),
  };
  sendJson(response, 200, listObject(spelledStore(call), target.resource, options, view));
}

function watch(call: Call): void {
  const { options, target, query, request, response, faults } = call;
  const { bookmarkMs, watches } = options;
  const view = viewOf(request.headers.accept, 'one');
  const asked = { ...watchOptions(target, query), resource: target.resource, view, bookmarkMs };
  const stop = serveWatch(spelledStore(call), asked, response, faults);
  watches.add(stop);
  response.on('close', () => watches.delete(stop));
}

async function collection(call: Call): Promise<void> {
  const { options, target, method, query, request, response } = call;
  const { namespaced } = target.resource;
  if (method === 'GET') return isWatch(query) ? watch(call) : list(call);
  if (method !== 'POST' || (namespaced && target.namespace === undefined)) throw methodNotAllowed();
  const view = viewOf(request.headers.accept, 'one');
  const made = await create(options.store, target, request);
  sendJson(response, 201, show(spelled(target, made), view));
}

async function written(call: Call): Promise<unknown> {
  const { options, target, method, query, request } = call;
  const { store } = options;
  const { namespace, name = '', subresource } = target;
  const which = subresource ?? 'main';
  if (method === 'GET') return store.get(keptAs(target.resource), namespace, name);
  if (method === 'PATCH') return patch(store, target, request, which);
  if (method === 'PUT') return replace(store, target, request, which);
  if (method === 'DELETE' && which === 'main') return remove(store, target, request, query, RESOURCES);
  throw methodNotAllowed();
}

async function single(call: Call): Promise<void> {
  const { target, request, response } = call;
  const view: View = viewOf(request.headers.accept, 'one');
  const object = (await written(call)) as KubeObject;
  const isStatus = object.kind === 'Status';
  sendJson(response, 200, isStatus ? object : show(spelled(target, object), view));
}

const VERBS: Readonly<Record<string, string>> = {
  POST: 'create',
  PUT: 'update',
  PATCH: 'patch',
  DELETE: 'delete',
};

const verbOf = (method: string, { name }: Target, query: URLSearchParams): string =>
  VERBS[method] ?? (name !== undefined ? 'get' : isWatch(query) ? 'watch' : 'list');

const OPEN = ['/readyz', '/healthz', '/livez', '/version'];

/** Throws where the token is wrong; whether there was the right one. */
function known({ token }: HandlerOptions, request: IncomingMessage): boolean {
  const { authorization } = request.headers;
  if (token === undefined) return true;
  if (authorization === undefined) return false;
  if (authorization !== `Bearer ${token}`) throw unauthorized();
  return true;
}

const NOTHING = (response: ServerResponse): void =>
  send(response, 404, 'text/plain; charset=utf-8', '404 page not found\n');

async function dispatch(call: Omit<Call, 'target'>, path: string): Promise<void> {
  const { options, method, query, request, response } = call;
  const user = known(options, request);
  const target = parsePath(path);
  if (!user && !OPEN.includes(path)) {
    if (target === undefined || target === 'unknown')
      throw failure(403, `forbidden: User "system:anonymous" cannot get path "${path}"`, {});
    throw forbidden(target.resource, verbOf(method, target, query), target.namespace, target.name);
  }
  if (OPEN.includes(path) && path !== '/version')
    return send(response, 200, 'text/plain; charset=utf-8', 'ok');
  const document = documentAt(path);
  if (document !== undefined) return sendJson(response, 200, document);
  if (target === undefined) return NOTHING(response);
  if (target === 'unknown') throw noSuchResource();
  return target.name === undefined ? collection({ ...call, target }) : single({ ...call, target });
}

function refuse(response: ServerResponse, error: unknown, retryAfter: number | undefined): void {
  const problem =
    error instanceof ApiFailure ? error : failure(500, `Internal error occurred: ${String(error)}`);
  const later = retryAfter ?? (problem.status.details?.retryAfterSeconds as number | undefined);
  if (response.headersSent) response.destroy();
  else
    sendJson(
      response,
      problem.status.code,
      statusObject(problem.status),
      later === undefined ? {} : { 'retry-after': String(later) },
    );
}

/** What node:http calls. Never throws. */
export async function handle(
  options: HandlerOptions,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const began = performance.now();
  const { method = 'GET', url: target = '/' } = request;
  const url = new URL(target, 'http://server');
  const query = url.searchParams;
  const asked = { method, path: url.pathname, watch: isWatch(query) };
  const faults = (): Faults => befalling(options.faults(), asked);
  const { close, hang, delayMs = 0, status, retryAfter } = faults();
  response.on('close', () =>
    options.log(`${method} ${target} ${response.statusCode} ${Math.round(performance.now() - began)} ms`),
  );
  if (close) return void request.socket.destroy();
  if (hang) return;
  if (delayMs > 0) await sleep(delayMs);
  try {
    if (status !== undefined) throw failure(status, `ordered by the test: ${status}`);
    await dispatch({ options, method, query, request, response, faults }, url.pathname);
  } catch (error) {
    refuse(response, error, retryAfter);
  }
}
