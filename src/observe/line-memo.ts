/**
 * What the log lines of one connection have in common, kept from one request to the next as finished text: nearly always it is the same
 * client that asks the same customer. A line from few pieces leaves less to throw away.
 */
import {LIMITS} from '#src/core/limits.ts';
import {equalTexts, flattenText} from '#src/core/text.ts';
import {clientFragment, closingFragment, requestFragment, userAgentFragment} from '#src/observe/access-line.ts';

/** One a connection. All texts here are copies: a slice would keep the whole head that it is of. */
export class LineMemo {
  #address = '';
  /** Only where one client asks several customers. */
  #client = '';
  #customerFragment = '';
  /** Made when it is asked for a second time, like `#request`: where each request asks for another host, nothing that is kept would be used. */
  #origin = '';
  #host = '';
  #method = '';
  #protocol = '';
  #request = '';
  #userAgent = '';
  #userAgentFragment = '';
  /** Without a referer. */
  #closing = '';

  /** Whose request of whom it was. @param customerFragment made by `customerFragment`; the others as in `clientFragment` */
  findOrigin(customerFragment: string, address: string, tlsVersion: string, tlsCipher: string): string {
    const isSameClient = this.#address === address;
    if (isSameClient && this.#customerFragment === customerFragment) {
      if (this.#origin === '') this.#origin = flattenText(customerFragment + clientFragment(address, tlsVersion, tlsCipher));
      return this.#origin;
    }
    this.#address = address;
    this.#customerFragment = customerFragment;
    this.#origin = '';
    if (!isSameClient) this.#client = '';
    else if (this.#client === '') this.#client = flattenText(clientFragment(address, tlsVersion, tlsCipher));
    return customerFragment + (this.#client === '' ? clientFragment(address, tlsVersion, tlsCipher) : this.#client);
  }

  /** Parameters as in `requestFragment`; the host is no slice of a head. A long one is not kept, because idle connections would be made large with it. */
  findRequest(host: string, method: string, protocol: string): string {
    if (this.#host !== host || this.#method !== method || this.#protocol !== protocol) {
      this.#host = host;
      this.#method = method === 'GET' || method === 'POST' ? method : flattenText(method);
      this.#protocol = protocol;
      this.#request = '';
      return requestFragment(host, method, protocol);
    }
    if (this.#request !== '') return this.#request;
    const fragment = requestFragment(host, method, protocol);
    if (fragment.length <= LIMITS.memoFragmentLengthMax) this.#request = flattenText(fragment);
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
