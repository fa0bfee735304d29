import type { CompleteRoute } from "./fleet.ts";
import { type QueryView, answerQuery } from "./queries.ts";
import { QueryArgs } from "./query-args.ts";
import { renderRoute, roundAge } from "./render.ts";

/** A route as JSON, but for its age, which is another whenever it is read. */
interface RouteBytes {
  readonly beforeAge: Buffer;
  readonly afterAge: Buffer;
}

/**
 * What `answerQuery` answers, as the bytes of its JSON. A program without a replica asks its agent for routes all the time, and an
 * agent hands out the same frozen routes until they change: so each is written out once.
 */
export class QueryAnswers {
  readonly #view: () => QueryView;
  readonly #routes = new WeakMap<CompleteRoute, RouteBytes>();

  constructor(view: () => QueryView) {
    this.#view = view;
  }

  /** Throws as `answerQuery` does. */
  answer(verb: string, input: unknown): Buffer {
    const view = this.#view();
    if (verb !== "find") return Buffer.from(JSON.stringify(answerQuery(view, verb, input)));
    const args = new QueryArgs(verb, input);
    const route = view.find(args.text("table"), args.text("key"), args.findOptions());
    return route === undefined ? Buffer.from("null") : this.#route(route);
  }

  #route(route: CompleteRoute): Buffer {
    let bytes = this.#routes.get(route);
    if (bytes === undefined) {
      bytes = bytesOf(route);
      this.#routes.set(route, bytes);
    }
    const { beforeAge, afterAge } = bytes;
    const age = String(roundAge(route.ageMs));
    const answer = Buffer.allocUnsafe(beforeAge.length + age.length + afterAge.length);
    answer.set(beforeAge, 0);
    answer.write(age, beforeAge.length, "latin1");
    answer.set(afterAge, beforeAge.length + age.length);
    return answer;
  }
}

function bytesOf(route: CompleteRoute): RouteBytes {
  const { ageMs: _ageMs, alternates, ...others } = renderRoute(route);
  return {
    beforeAge: Buffer.from(`${JSON.stringify(others).slice(0, -1)},"ageMs":`),
    afterAge: Buffer.from(`,"alternates":${JSON.stringify(alternates)}}`),
  };
}
