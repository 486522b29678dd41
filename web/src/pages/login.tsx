// Who has no session yet pastes a token.

import {useState} from 'preact/hooks';
import * as api from '../state/api';
import {login} from '../state/session';
import {Field, Trouble} from '../ui/parts';
import {t} from '../text';

export function LoginPage({why}: {why: string}) {
    const [token, setToken] = useState('');
    const [bad, setBad] = useState(why);
    const [busy, setBusy] = useState(false);
    const send = async (): Promise<void> => {
        setBad('');
        setBusy(true);
        try {
            await login(token);
        } catch (error) {
            setBad(api.why(error));
        }
        setBusy(false);
    };
    return (
        <main class="login">
            <h1>{t.login.title}</h1>
            <p>{t.login.what}</p>
            <form class="form" onSubmit={e => { e.preventDefault(); void send(); }}>
                <Field label={t.login.token} type="password" value={token} onValue={setToken} autocomplete="current-password" required />
                <Trouble text={bad} />
                <button type="submit" class="button main" disabled={busy || !token.trim()}>{t.login.enter}</button>
            </form>
            <p class="note">{t.login.where}</p>
            <pre tabIndex={0}>{t.login.command}</pre>
        </main>
    );
}
