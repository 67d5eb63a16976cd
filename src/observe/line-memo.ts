/**
 * What the log lines of one connection have in common, kept from one request to the next as finished text: nearly always it is the same
 * client that asks the same customer. A line from few pieces leaves less to throw away.
 */
import {LIMITS} from '#src/core/limits.ts';
import {ReusedText, equalTexts, flattenText} from '#src/core/text.ts';
import {closingFragment, originFragment, requestFragment, userAgentFragment} from '#src/observe/access-line.ts';

/** One a connection. All texts here are copies: a slice would keep the whole head that it is of. */
export class LineMemo {
  #customerFragment = '';
  #address = '';
  readonly #origin = new ReusedText();
  #host = '';
  #method = '';
  #protocol = '';
  readonly #request = new ReusedText();
  #userAgent = '';
  #userAgentFragment = '';
  /** Without a referer. */
  #closing = '';

  /** @param customerFragment made by `customerFragment`; the others as in `originFragment` */
  findOrigin(customerFragment: string, address: string, tlsVersion: string, tlsCipher: string): string {
    if (!this.#origin.isEmpty && this.#customerFragment === customerFragment && this.#address === address) return this.#origin.reuse();
    this.#customerFragment = customerFragment;
    this.#address = address;
    return this.#origin.set(originFragment(customerFragment, address, tlsVersion, tlsCipher));
  }

  /** Parameters as in `requestFragment`; the host is no slice of a head. A long one is not kept, because idle connections would be made large with it. */
  findRequest(host: string, method: string, protocol: string): string {
    if (!this.#request.isEmpty && this.#host === host && this.#method === method && this.#protocol === protocol) return this.#request.reuse();
    const fragment = requestFragment(host, method, protocol);
    if (fragment.length <= LIMITS.memoFragmentLengthMax) {
      this.#host = host;
      this.#method = method === 'GET' || method === 'POST' ? method : flattenText(method);
      this.#protocol = protocol;
      this.#request.set(fragment);
    }
    return fragment;
  }

  /** Parameters as in `closingFragment`, but that the user agent is the field. */
  findClosing(userAgent: string, referer: string): string {
    if (this.#closing === '' || !equalTexts(this.#userAgent, userAgent)) {
      const fragment = userAgentFragment(userAgent);
      if (userAgent.length > LIMITS.memoFragmentLengthMax) return closingFragment(fragment, referer);
      this.#userAgent = flattenText(userAgent);
      this.#userAgentFragment = fragment;
      this.#closing = flattenText(closingFragment(fragment, ''));
    }
    return referer === '' ? this.#closing : closingFragment(this.#userAgentFragment, referer);
  }
}
