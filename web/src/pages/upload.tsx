// A plugin comes in: chosen or dropped. What it asks for is shown behind it, on its page.

import {useRef, useState} from 'preact/hooks';
import * as api from '../state/api';
import {go} from '../state/route';
import {refresh} from '../state/things';
import type {Plugin} from '../state/types';
import {Trouble} from '../ui/parts';
import {toast} from '../ui/toast';
import {t} from '../text';

const MAX = 64 * 1024 * 1024;

export async function upload(file: File): Promise<void> {
    const start = new Uint8Array(await file.slice(0, 4).arrayBuffer());
    if (file.size > MAX) throw new Error(t.plugins.tooLarge(file.name));
    if (start[0] !== 0 || start[1] !== 0x61 || start[2] !== 0x73 || start[3] !== 0x6d) throw new Error(t.plugins.notWasm(file.name));
    const answer = await api.request('POST', '/v1/plugins' + api.query({file_name: file.name}), file, {'Content-Type': 'application/wasm'});
    const plugin = await answer.json() as Plugin;
    await refresh('plugins', 'connections');
    toast(t.plugins.uploaded(plugin.name || plugin.id, plugin.pending !== null));
    go('plugins', plugin.id);
}

export function UploadZone() {
    const input = useRef<HTMLInputElement>(null);
    const [over, setOver] = useState(false);
    const [busy, setBusy] = useState(false);
    const [trouble, setTrouble] = useState('');
    const take = async (files: FileList | null | undefined): Promise<void> => {
        if (!files?.length) return;
        setBusy(true);
        setTrouble('');
        try {
            for (const file of files) await upload(file);
        } catch (error) {
            setTrouble(api.why(error));
        }
        setBusy(false);
        if (input.current) input.current.value = '';
    };
    return (
        <div class={'drop' + (over ? ' over' : '')} onDragOver={e => { e.preventDefault(); setOver(true); }} onDragLeave={() => setOver(false)}
            onDrop={e => { e.preventDefault(); setOver(false); void take(e.dataTransfer?.files); }}>
            <input ref={input} id="plugin-file" class="hidden" type="file" accept=".wasm,application/wasm" multiple aria-label={t.plugins.choose} onChange={e => void take(e.currentTarget.files)} />
            <label for="plugin-file" class="button main">{busy ? t.plugins.uploading : t.plugins.choose}</label>
            <span class="note">{t.plugins.orDrop}</span>
            <Trouble text={trouble} />
        </div>
    );
}
