// The name that a record goes by: type, source, identifier, then the values of the parameters in the order of their
// keys, joined by dots; the same spelling as src/hub/topic.h.

export interface StreamKey {
    type: string;
    source: string;
    identifier: string;
    parameters: Record<string, unknown>;
}

const encoder = new TextEncoder();

export function token(text: string): string {
    if (text === '') return '%';
    // eslint-disable-next-line no-control-regex
    return text.replace(/[\u0000-\u0020.*>%\u007f]/g, c => {
        const [octet] = encoder.encode(c);
        return '%' + octet!.toString(16).toUpperCase().padStart(2, '0');
    });
}

export function topicOf(key: StreamKey): string {
    const parts = [key.type, key.source, key.identifier];
    for (const name of Object.keys(key.parameters ?? {}).sort()) {
        const value = key.parameters[name];
        if (value !== null && value !== undefined) parts.push(String(value));
    }
    return parts.map(token).join('.');
}
