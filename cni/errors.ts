/** Error codes of the CNI specification and their JSON. Pure. */

export const CODES = {
  incompatibleVersion: 1,
  unsupportedField: 2,
  unknownContainer: 3,
  badEnvironment: 4,
  io: 5,
  decode: 6,
  badConfig: 7,
  invalidNetns: 8,
  tryLater: 11,
  unavailable: 50,
  limited: 51,
  /** Our own from 100 on: something that weft made is missing or wrong. */
  broken: 100,
  exhausted: 101,
  exists: 102,
  portTaken: 103,
} as const;

/** What a verb answers instead of a result. */
export class CniError extends Error {
  readonly code: number;
  readonly details: string;
  constructor(code: number, message: string, details = '') {
    super(message);
    this.code = code;
    this.details = details;
  }
}

/** Printed on stdout, as libcni reads it. */
export const errorJson = (cniVersion: string, error: CniError): string =>
  `${JSON.stringify({ cniVersion, code: error.code, msg: error.message, details: error.details })}\n`;
