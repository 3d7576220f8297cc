/** Answers that are no object: kind Status, with the reasons and codes of the real server. */
export type StatusError = {
  readonly code: number;
  readonly reason: string;
  readonly message: string;
  readonly details?: Readonly<Record<string, unknown>>;
};

export class ApiFailure extends Error {
  readonly status: StatusError;
  constructor(status: StatusError) {
    super(status.message);
    this.status = status;
  }
}

export const statusObject = ({ code, reason, message, details }: StatusError) => ({
  kind: 'Status',
  apiVersion: 'v1',
  metadata: {},
  status: 'Failure',
  message,
  reason,
  ...(details !== undefined && { details }),
  code,
});

const failure = (code: number, reason: string) => (message: string, details?: StatusError['details']) =>
  new ApiFailure({ code, reason, message, ...(details !== undefined && { details }) });

export const notFound = (plural: string, name: string): ApiFailure =>
  failure(404, 'NotFound')(`${plural} "${name}" not found`, { name, kind: plural });

export const alreadyExists = (plural: string, name: string): ApiFailure =>
  failure(409, 'AlreadyExists')(`${plural} "${name}" already exists`, { name, kind: plural });

export const conflict = (plural: string, name: string): ApiFailure =>
  failure(409, 'Conflict')(
    `Operation cannot be fulfilled on ${plural} "${name}": the object has been modified; please apply your changes to the latest version and try again`,
    { name, kind: plural },
  );

export const gone = (message: string): ApiFailure => failure(410, 'Expired')(message);
export const badRequest = failure(400, 'BadRequest');
export const invalid = failure(422, 'Invalid');
export const unauthorized = (): ApiFailure => failure(401, 'Unauthorized')('Unauthorized');
export const unsupportedMedia = failure(415, 'UnsupportedMediaType');
export const methodNotAllowed = (): ApiFailure =>
  failure(405, 'MethodNotAllowed')('the server does not allow this method on the requested resource');
export const noSuchPath = (): ApiFailure =>
  failure(404, 'NotFound')('the server could not find the requested resource');
export const internalError = failure(500, 'InternalError');
