/** The body of an answer that Torwart gives by itself: small, with the request's id, and without a word about what is behind. */

export interface ErrorPage {
  readonly contentType: string;
  readonly body: string;
}

/** JSON where the client asks for it rather than for HTML (RFC 9110 §12.5.1, without weights: the first of the two that is named). */
export function prefersJson(accept: string): boolean {
  const json = accept.indexOf('json');
  if (json < 0) return false;
  const html = accept.indexOf('text/html');
  return html < 0 || json < html;
}

/** `title`, `reason` and `requestId` hold no character that HTML or JSON gives a meaning to. */
export function renderErrorPage(status: number, title: string, reason: string, requestId: string, accept: string): ErrorPage {
  if (prefersJson(accept)) {
    return {contentType: 'application/json', body: `${JSON.stringify({status, title, reason, request_id: requestId})}\n`};
  }
  const body = `<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>${status} ${title}</title></head>\n`
    + `<body><h1>${status} ${title}</h1><p>${reason}</p><p>Request id: <code>${requestId}</code></p></body></html>\n`;
  return {contentType: 'text/html; charset=utf-8', body};
}
