/** A stream of which the end is seen to: a connection that died says nothing, and a watch must not last for ever. */
import type { IncomingMessage } from 'node:http';
import { ApiError, messageOf } from './api-error.ts';

/** Passes a stream on; ends it when nothing comes for `silenceMs`, and after `lifeMs`. */
export async function* limited(stream: IncomingMessage, silenceMs: number, lifeMs: number | undefined) {
  const end = (message: string, reason: string) => () => stream.destroy(new ApiError(message, { reason }));
  const silent = end(`nothing came for ${silenceMs / 1_000} s`, 'Silent');
  let timer = setTimeout(silent, silenceMs);
  const life =
    lifeMs === undefined
      ? undefined
      : setTimeout(end('it is time to list again', 'Relist'), Math.max(lifeMs, 0));
  try {
    for await (const chunk of stream as AsyncIterable<Uint8Array>) {
      clearTimeout(timer);
      timer = setTimeout(silent, silenceMs);
      yield chunk;
    }
  } catch (error) {
    if (error instanceof ApiError) throw error;
    throw new ApiError(`the watch was cut off: ${messageOf(error)}`, { reason: 'Cut', cause: error });
  } finally {
    clearTimeout(timer);
    clearTimeout(life);
    stream.destroy();
  }
}
