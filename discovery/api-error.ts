/** One error class for all that can go wrong between us and the API server. */

export type ApiErrorFacts = {
  /** HTTP status; undefined: no answer came. */
  readonly status?: number | undefined;
  /** Reason of the Status object (`Expired`, `Forbidden`, …), or the system's code (`ECONNREFUSED`, …). */
  readonly reason?: string | undefined;
  /** From the header Retry-After. */
  readonly retryAfterMs?: number | undefined;
  readonly cause?: unknown;
};

export class ApiError extends Error {
  override name = 'ApiError';
  readonly status: number | undefined;
  readonly reason: string;
  readonly retryAfterMs: number | undefined;

  constructor(message: string, facts: ApiErrorFacts = {}) {
    super(message, { cause: facts.cause });
    this.status = facts.status;
    this.reason = facts.reason ?? '';
    this.retryAfterMs = facts.retryAfterMs;
  }
}

const hasStatus = (error: unknown, status: number): boolean =>
  error instanceof ApiError && error.status === status;

const reasonOf = (error: unknown): string => (error instanceof ApiError ? error.reason : '');

/** The version that was asked for is forgotten, or not yet reached: list again. */
export const isExpired = (error: unknown): boolean =>
  hasStatus(error, 410) ||
  reasonOf(error) === 'Expired' ||
  (error instanceof ApiError && /too large resource version/i.test(error.message));

/** The answer is nothing that an API server says. */
export const isMalformed = (error: unknown): boolean => reasonOf(error) === 'Malformed';

export const isNotFound = (error: unknown): boolean => hasStatus(error, 404);

/** The server knows us and says no: only a change of its rules helps. */
export const isForbidden = (error: unknown): boolean => hasStatus(error, 403);

/** The request itself is at fault: the same one again will fare no better. */
export const isRefused = (error: unknown): boolean =>
  [400, 403, 404, 405, 413, 415, 422].some(status => hasStatus(error, status));

/** Milliseconds that the server asks us to stay away. */
export const retryAfter = (error: unknown): number | undefined =>
  error instanceof ApiError ? error.retryAfterMs : undefined;

export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
