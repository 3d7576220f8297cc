/** Answers that are no object: kind Status, with the reasons, codes and words of the real server. */
import type { Resource } from './resources.ts';

export type StatusError = {
  readonly code: number;
  /** Absent in answers that the real server gives by accident. */
  readonly reason?: string;
  readonly message: string;
  readonly details?: Readonly<Record<string, unknown>>;
  /** For 410: a token that goes on in the present. */
  readonly continue?: string;
};

export class ApiFailure extends Error {
  readonly status: StatusError;
  constructor(status: StatusError) {
    super(status.message);
    this.status = status;
  }
}

export const statusObject = ({ code, reason, message, details, continue: more }: StatusError) => ({
  kind: 'Status',
  apiVersion: 'v1',
  metadata: more === undefined ? {} : { continue: more },
  status: 'Failure',
  message,
  ...(reason !== undefined && { reason }),
  ...(details !== undefined && { details }),
  code,
});

const REASONS: Readonly<Record<number, string>> = {
  400: 'BadRequest',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'NotFound',
  405: 'MethodNotAllowed',
  406: 'NotAcceptable',
  409: 'Conflict',
  410: 'Expired',
  413: 'RequestEntityTooLarge',
  415: 'UnsupportedMediaType',
  422: 'Invalid',
  429: 'TooManyRequests',
  500: 'InternalError',
  503: 'ServiceUnavailable',
  504: 'Timeout',
};

/** A failure of a code, with the reason that goes with it. */
export const failure = (code: number, message: string, details?: StatusError['details']): ApiFailure =>
  new ApiFailure({
    code,
    reason: REASONS[code] ?? 'InternalError',
    message,
    ...(details !== undefined && { details }),
  });

const qualified = (word: string, { group }: Resource): string => (group === '' ? word : `${word}.${group}`);

const detailsOf = (resource: Resource, kind: string, name: string) => ({
  ...(name !== '' && { name }),
  ...(resource.group !== '' && { group: resource.group }),
  kind,
});

export const notFound = (resource: Resource, name: string): ApiFailure =>
  failure(
    404,
    `${qualified(resource.plural, resource)} "${name}" not found`,
    detailsOf(resource, resource.plural, name),
  );

export const alreadyExists = (resource: Resource, name: string): ApiFailure =>
  new ApiFailure({
    code: 409,
    reason: 'AlreadyExists',
    message: `${qualified(resource.plural, resource)} "${name}" already exists`,
    details: detailsOf(resource, resource.plural, name),
  });

const MODIFIED =
  'the object has been modified; please apply your changes to the latest version and try again';

export const conflict = (resource: Resource, name: string, why = MODIFIED): ApiFailure =>
  failure(
    409,
    `Operation cannot be fulfilled on ${qualified(resource.plural, resource)} "${name}": ${why}`,
    detailsOf(resource, resource.plural, name),
  );

/** One thing that is wrong with one field. */
export type FieldError = {
  readonly reason:
    | 'FieldValueInvalid'
    | 'FieldValueRequired'
    | 'FieldValueForbidden'
    | 'FieldValueTooLong'
    | 'FieldValueNotSupported';
  readonly field: string;
  /** `Invalid value: "x": must be …`. */
  readonly message: string;
};

export const invalid = (resource: Resource, name: string, errors: readonly FieldError[]): ApiFailure => {
  const said = errors.map(({ field, message }) => `${field}: ${message}`);
  const all = said.length === 1 ? said[0] : `[${said.join(', ')}]`;
  return failure(422, `${qualified(resource.kind, resource)} "${name}" is invalid: ${all}`, {
    ...detailsOf(resource, resource.kind, name),
    causes: errors,
  });
};

/** A patch whose outcome is no object of its kind. The real server names no object here. */
export const invalidPatch = (outcome: string, why: string): ApiFailure => {
  const message = `Invalid value: ${JSON.stringify(outcome)}: ${why}`;
  const causes = [{ reason: 'FieldValueInvalid', message, field: 'patch' }];
  return failure(422, ` "" is invalid: patch: ${message}`, { causes });
};

export const tooLarge = (asked: number, current: number): ApiFailure =>
  failure(504, `Timeout: Too large resource version: ${asked}, current: ${current}`, {
    causes: [{ reason: 'ResourceVersionTooLarge', message: 'Too large resource version' }],
    retryAfterSeconds: 1,
  });

export const badRequest = (message: string): ApiFailure => failure(400, message);
export const gone = (message: string): ApiFailure => failure(410, message);
export const unauthorized = (): ApiFailure => failure(401, 'Unauthorized');
export const methodNotAllowed = (): ApiFailure =>
  failure(405, 'the server does not allow this method on the requested resource', {});
export const noSuchResource = (): ApiFailure =>
  failure(404, 'the server could not find the requested resource', {});

/** `x is forbidden: User "u" cannot VERB …`. */
export const forbidden = (
  resource: Resource,
  verb: string,
  namespace: string | undefined,
  name: string | undefined,
): ApiFailure => {
  const object = name === undefined ? '' : ` "${name}"`;
  const where = namespace === undefined ? 'at the cluster scope' : `in the namespace "${namespace}"`;
  return failure(
    403,
    `${qualified(resource.plural, resource)}${object} is forbidden: User "system:anonymous" cannot ${verb} resource "${resource.plural}" in API group "${resource.group}" ${where}`,
    detailsOf(resource, resource.plural, name ?? ''),
  );
};
