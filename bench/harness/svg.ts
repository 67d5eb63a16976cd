/** What the plots have in common: how they look in light and in dark, and text that is safe in XML. */

const LIGHT = {text: '#1f2328', muted: '#59636e', card: '#ffffff', grid: '#d8dee4', subject: '#0a7d5a', equal: '#3f74c0', bare: '#aab2bb', second: '#c2611f'} as const;
const DARK: Record<keyof typeof LIGHT, string> = {
  text: '#e6edf3', muted: '#9198a1', card: '#0d1117', grid: '#2b323b', subject: '#2fbf8f', equal: '#5f96e6', bare: '#6b7480', second: '#e88c4d',
};

function rules(colors: Readonly<Record<keyof typeof LIGHT, string>>): string {
  const fills = (['muted', 'card', 'subject', 'equal', 'bare', 'second'] as const).map(name => `.${name}{fill:${colors[name]}}`);
  const strokes = (['subject', 'equal', 'bare', 'second'] as const).map(name => `.${name}-line{stroke:${colors[name]}}`);
  return `text{fill:${colors.text}}${fills.join('')}${strokes.join('')}.grid{stroke:${colors.grid}}.spread{stroke:${colors.text}}`;
}

export function escapeXml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}

export interface TextStyle {
  readonly className?: string;
  readonly anchor?: 'start' | 'middle' | 'end';
  readonly isBold?: boolean;
}

export function svgText(x: number, y: number, text: string, {className, anchor, isBold}: TextStyle = {}): string {
  const attributes = [
    ...(className === undefined ? [] : [`class="${className}"`]),
    ...(anchor === undefined ? [] : [`text-anchor="${anchor}"`]),
    ...(isBold === true ? ['font-weight="600"'] : []),
  ];
  return `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}"${attributes.map(attribute => ` ${attribute}`).join('')}>${escapeXml(text)}</text>`;
}

/** A card of its own colour: readable on any page, whichever scheme the page itself has. */
export function svgDocument(width: number, height: number, parts: readonly string[]): string {
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" font-family="system-ui, 'DejaVu Sans', sans-serif" font-size="12">
<style>${rules(LIGHT)}@media (prefers-color-scheme: dark){${rules(DARK)}}</style>
<rect class="card" width="${width}" height="${height}" rx="6"/>
${parts.join('\n')}
</svg>
`;
}
