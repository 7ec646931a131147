package message

import "strings"

// text is one entry in both languages. {name} stands for a fact.
type text struct{ en, ja string }

// Text is an entry of the catalogue with its facts, given as name, value, name,
// value. A fact is never read for further names. An entry that is not there is
// its key: ugly, and nothing is lost.
func (l Language) Text(key string, facts ...string) string {
	t, ok := catalogue[key]
	if !ok {
		return key
	}
	s := t.en
	if l.ja {
		s = t.ja
	}
	if len(facts) == 0 {
		return s
	}
	var b strings.Builder
	for {
		before, rest, open := strings.Cut(s, "{")
		b.WriteString(before)
		if !open {
			return b.String()
		}
		s = rest
		if name, after, closed := strings.Cut(rest, "}"); closed {
			if fact, ok := factNamed(facts, name); ok {
				b.WriteString(fact)
				s = after
				continue
			}
		}
		b.WriteByte('{')
	}
}

func factNamed(facts []string, name string) (string, bool) {
	for i := 0; i+1 < len(facts); i += 2 {
		if facts[i] == name {
			return facts[i+1], true
		}
	}
	return "", false
}

func (l Language) known(key string) bool {
	_, ok := catalogue[key]
	return ok
}

var catalogue = map[string]text{
	// Each kind of mail: its subject, its first line, and what comes next, one
	// item a line.

	"contained.subject": {"[URGENT] EC2 instance isolated automatically: {instance}", "[緊急] EC2インスタンスを自動隔離しました: {instance}"},
	"contained.story": {
		"EC2 instance {instance} has been cut off from the network since {at}: GuardDuty found it compromised.",
		"EC2インスタンス {instance} を {at} にネットワークから自動隔離しました。GuardDutyが侵害を検出したためです。",
	},
	"contained.next": {
		"Look at the finding. A second mail brings the link by which you decide: terminate, keep isolated, or release.\n" +
			"Meanwhile snapshots complete and, where it is set up, memory is captured. Nothing is terminated unless a person decides so.\n" +
			"Credentials of the instance's role that were stolen work from anywhere; what is not denied above, revoke by hand.",
		"検出結果を確認してください。別のメールで、終了・隔離継続・解放を決定するためのリンクをお送りします。\n" +
			"その間にスナップショットの完了と、設定されている場合はメモリの取得が進みます。人が決定しない限り、インスタンスは終了されません。\n" +
			"盗まれたインスタンスロールの認証情報はどこからでも使えます。上記で拒否していないものは、手動で無効化してください。",
	},

	"notContained.subject": {"[URGENT] EC2 instance NOT isolated, act now: {instance}", "[緊急・要対応] EC2インスタンスを隔離できていません: {instance}"},
	"notContained.story": {
		"EC2 instance {instance} is NOT contained. It may still be talking to the network. Isolate it by hand now.",
		"EC2インスタンス {instance} は隔離できていません。まだ通信している可能性があります。今すぐ手動で隔離してください。",
	},
	"notContained.next": {
		"Move every network interface of the instance into a security group without rules. Do not stop or terminate it: its memory is evidence.\n" +
			"Evidence is gathered meanwhile, and isolation is tried again.",
		"インスタンスのすべてのネットワークインターフェイスを、ルールのないセキュリティグループへ移してください。メモリは証拠なので、停止や終了はしないでください。\n" +
			"その間、証拠の収集と隔離の再試行を続けます。",
	},

	"notRead.subject": {"[URGENT] Finding not processed, EC2 instance NOT isolated: {instance}", "[緊急・要対応] 検出結果を処理できず、隔離していません: {instance}"},
	"notRead.story": {
		"EC2 instance {instance} is NOT contained: the finding about it could not be processed. It may still be talking. Isolate it by hand now.",
		"EC2インスタンス {instance} は隔離できていません。検出結果を処理できませんでした。まだ通信している可能性があります。今すぐ手動で隔離してください。",
	},
	"notRead.next": {
		"Move every network interface of the instance into a security group without rules. Do not stop or terminate it: its memory is evidence.\n" +
			"Nothing is tried again until GuardDuty tells of a finding on this instance again.\n" +
			"If an incident was opened before this failed, it is open, nobody works on it, and there is no signed report of it: cordon list shows it.",
		"インスタンスのすべてのネットワークインターフェイスを、ルールのないセキュリティグループへ移してください。メモリは証拠なので、停止や終了はしないでください。\n" +
			"このインスタンスの検出結果をGuardDutyが再通知するまで、再試行は行いません。\n" +
			"失敗の前にインシデントが登録されていた場合、そのインシデントは対応中のままで、処理は行われておらず、署名付き報告はありません。cordon list で確認できます。",
	},

	"notRead.later.subject": {"[URGENT] You could not be asked once more: {instance}", "[緊急・要対応] 再度の決定をお願いできません: {instance}"},
	"notRead.later.story": {
		"EC2 instance {instance}: an operator wanted people to decide about it once more, and that could not be processed. Nothing was changed.",
		"EC2インスタンス {instance}: 再度の決定の依頼を処理できませんでした。何も変更していません。",
	},
	"notRead.later.next": {
		"Once the reason is mended, decide as before: cordon decide {incident} terminate|keep|release --reason TEXT.\n" +
			"The incident stands as it did, or is open again; nobody works on it, and there is no signed report of this attempt: cordon show {incident}.",
		"理由を解消した後、もう一度決定してください: cordon decide {incident} terminate|keep|release --reason TEXT。\n" +
			"インシデントは以前のまま、または再び対応中になっています。処理は行われておらず、今回の署名付き報告はありません: cordon show {incident}。",
	},

	"joined.subject": {"Another finding about an open incident: {instance}", "対応中のインシデントに新しい検出結果: {instance}"},
	"joined.story": {
		"Another finding about EC2 instance {instance} joined the incident that is open for it: {type}. Nothing else was changed.",
		"EC2インスタンス {instance} の新しい検出結果 {type} を、対応中のインシデントに加えました。ほかには何も変更していません。",
	},
	"joined.next": {
		"Weigh it in your decision; the link is in the mail of that incident.\n" +
			"Without the link, as who your AWS credentials say: cordon decide {incident} DECISION --reason TEXT; cordon show {incident} lists what can be decided.\n" +
			"If nobody decides, everything stays as that mail says.",
		"決定の際に考慮してください。リンクはそのインシデントのメールにあります。\n" +
			"リンクなしで、AWS認証情報のIDとして決定するには: cordon decide {incident} DECISION --reason TEXT。選択肢は cordon show {incident} で確認できます。\n" +
			"決定がなければ、そのメールに記載のとおりです。",
	},

	"decided.subject": {"Finding repeats what was already decided: {instance}", "決定済みの検出結果が再度届きました: {instance}"},
	"decided.story": {
		"GuardDuty repeats a finding about EC2 instance {instance} on which a person has already decided. Nothing was changed.",
		"EC2インスタンス {instance} について、すでに人が決定した検出結果が再度届きました。何も変更していません。",
	},
	"decided.next": {
		"If that decision was to release it, and you doubt it now, isolate the instance by hand. A finding of a new type, or a more severe one, opens a new incident.",
		"解放の決定に疑いがある場合は、手動で隔離してください。新しい種類の検出結果や、より重大な検出結果は、新しいインシデントになります。",
	},

	"exempt.subject": {"[URGENT] Exempt EC2 instance NOT isolated: {instance}", "[緊急・要対応] 除外対象のため隔離していません: {instance}"},
	"exempt.story": {
		"EC2 instance {instance} is on the list of exempt instances: it was NOT isolated. A person must look at it.",
		"EC2インスタンス {instance} は除外リストにあるため、隔離していません。人による確認が必要です。",
	},
	"exempt.next": {
		"Look at the finding and decide by hand. To have it isolated next time, take it off the list of exempt instances.",
		"検出結果を確認し、手動で対応してください。次回から自動隔離するには、除外リストから外してください。",
	},

	"foreign.subject": {"[URGENT] Instance of another account NOT isolated: {instance}", "[緊急・要対応] 別アカウントのため隔離していません: {instance}"},
	"foreign.story": {
		"EC2 instance {instance} is in account {account} or a Region where we may not act: it was NOT isolated. Tell its owners.",
		"EC2インスタンス {instance} は、対応できないアカウント {account} またはリージョンにあるため、隔離していません。所有者に連絡してください。",
	},
	"foreign.next": {
		"Tell the owners of that account. Nothing there was looked at or changed.",
		"そのアカウントの所有者に連絡してください。そこでは何も参照・変更していません。",
	},

	"gone.subject": {"EC2 instance of a finding is gone already: {instance}", "検出されたEC2インスタンスはすでに存在しません: {instance}"},
	"gone.story": {
		"EC2 instance {instance} does not exist any more, or is being terminated: nothing is left to isolate.",
		"EC2インスタンス {instance} はすでに存在しないか、終了処理中です。隔離する対象がありません。",
	},
	"gone.next": {
		"Find out who terminated it, and whether volumes, snapshots or logs are left.",
		"誰が終了したのか、ボリュームやスナップショット、ログが残っていないかを確認してください。",
	},

	"unreadable.subject": {"[URGENT] A GuardDuty finding could not be read: {instance}", "[緊急・要対応] GuardDutyの検出結果を読み取れません: {instance}"},
	"unreadable.story": {
		"A GuardDuty finding could not be read, so nothing was isolated. A person must look at it.",
		"GuardDutyの検出結果を読み取れなかったため、何も隔離していません。人による確認が必要です。",
	},
	"unreadable.next": {
		"Look in the GuardDuty console for what is new. The event is kept as it came, in the evidence bucket under events/, if it got that far.",
		"GuardDutyコンソールで新しい検出結果を確認してください。イベントは、保存できた場合、証拠バケットの events/ に届いたまま保管されています。",
	},

	"undecided.subject": {"Isolated, undecided: {instance}", "隔離中・未決定のままです: {instance}"},
	"undecided.story": {
		"EC2 instance {instance} stays isolated: nobody decided in time, or no decision could be carried out. Silence is no.",
		"EC2インスタンス {instance} は隔離を続けます。期限内に決定がなかったか、決定を実行できませんでした。応答がないことは承認とみなしません。",
	},
	"undecided.next": {
		"The links mailed so far no longer work. To decide later, also months later: cordon decide {incident} terminate|keep|release --reason TEXT.\n" +
			"What it had before stands in the incidents table, under the incident's ID, as prior#….\n" +
			"The incident stays open; whatever else is found on this instance joins it.",
		"これまでにお送りしたリンクは無効です。後から(数か月後でも)決定するには: cordon decide {incident} terminate|keep|release --reason TEXT。\n" +
			"元の設定は、インシデントのテーブルにインシデントIDの prior#… として記録されています。\n" +
			"インシデントは対応中のままです。このインスタンスの新しい検出結果はこのインシデントに加えられます。",
	},

	"notSealed.subject": {"[URGENT] Isolation could not be verified, act now: {instance}", "[緊急・要対応] 隔離を確認できません: {instance}"},
	"notSealed.story": {
		"EC2 instance {instance} was contained, but the last look could not verify that every interface is in quarantine. Look at it now.",
		"EC2インスタンス {instance} は隔離しましたが、すべてのインターフェイスが隔離グループにあることを最後に確認できませんでした。今すぐ確認してください。",
	},
	"notSealed.next": {
		"Check the security groups of every network interface; each must be in quarantine-sg alone.\n" +
			"Nothing is terminated or released in this state.",
		"すべてのネットワークインターフェイスのセキュリティグループが quarantine-sg だけになっていることを確認してください。\n" +
			"この状態では、終了も解放も行いません。",
	},

	"closeFailed.subject": {"Done, but the incident stays open in the record: {instance}", "実行済みですが、インシデントを閉じられません: {instance}"},
	"closeFailed.story": {
		"What was decided about EC2 instance {instance} is done, but the incident could not be closed in the record.",
		"EC2インスタンス {instance} についての決定は実行しましたが、記録上のインシデントを閉じられませんでした。",
	},
	"closeFailed.next": {
		"Until it is closed, further findings on this instance join this incident. One of a new type or more severe isolates again what was released or left alone.\n" +
			"Once the reason is mended, have it closed by deciding as before: cordon decide {incident} terminate|keep|release --reason TEXT.",
		"閉じられるまで、このインスタンスの新しい検出結果はこのインシデントに加わります。解放した、または隔離しなかったインスタンスは、新しい種類またはより重大な検出結果があれば隔離します。\n" +
			"理由を解消した後、前と同じ決定により閉じてください: cordon decide {incident} terminate|keep|release --reason TEXT。",
	},

	"closeFailed.partly.subject": {"NOT all is back, and the incident stays open: {instance}", "一部未復元、インシデントも閉じられません: {instance}"},
	"closeFailed.partly.story": {
		"EC2 instance {instance} was released as decided by {person}, but NOT everything is as it was, and the incident could not be closed.",
		"EC2インスタンス {instance} を {person} の決定により解放しましたが、一部は元に戻せておらず、インシデントも閉じられませんでした。",
	},
	"closeFailed.partly.next": {
		"Mend what keeps it back, as listed above, and release again; that closes the incident, too: cordon decide {incident} release --reason TEXT. Or put it back by hand.\n" +
			"Until it is closed, further findings on this instance join this incident. One of a new type or more severe isolates it again.",
		"上の「戻せなかったもの」の原因を解消して解放を再実行すると、インシデントも閉じられます: cordon decide {incident} release --reason TEXT。または手動で戻してください。\n" +
			"閉じられるまで、このインスタンスの新しい検出結果はこのインシデントに加わります。新しい種類またはより重大な検出結果があれば隔離します。",
	},

	"unsigned.subject": {"No signed report of how it stands: {instance}", "状況の署名付き報告を作成できません: {instance}"},
	"unsigned.story": {
		"What was told of EC2 instance {instance} before still holds, but no signed manifest and report of it could be written. Nothing else has changed.",
		"EC2インスタンス {instance} についてお伝えした状況に変わりはありませんが、署名付きのマニフェストと報告を書き込めませんでした。ほかには何も変わっていません。",
	},
	"unsigned.next": {
		"The record and its journal are as they were: cordon show {incident}. The next execution that works on this incident signs again.",
		"記録とジャーナルはそのままです: cordon show {incident}。このインシデントの次の実行が、あらためて署名します。",
	},

	"after.notContained": {
		"Move every network interface of the instance into a security group without rules. Do not stop or terminate it: its memory is evidence.\n" +
			"The incident stays open. The next finding on this instance tries again to isolate it; so does cordon decide {incident} keep --reason TEXT, once you have decided so on the request that it opens.",
		"インスタンスのすべてのネットワークインターフェイスを、ルールのないセキュリティグループへ移してください。メモリは証拠なので、停止や終了はしないでください。\n" +
			"インシデントは対応中のままです。このインスタンスの次の検出結果で、隔離を再試行します。cordon decide {incident} keep --reason TEXT で開かれる依頼で隔離継続を決定した場合も再試行します。",
	},

	"told.subject": {"[URGENT] GuardDuty finding that needs a person: {instance}", "[緊急・要対応] 人の確認が必要なGuardDutyの検出結果: {instance}"},
	"told.story": {
		"GuardDuty found something severe that may concern EC2. It names no instance to isolate by machine: a person must look at it. Nothing was changed.",
		"GuardDutyがEC2に関わる可能性のある重大な脅威を検出しました。自動隔離の対象となる検出結果ではないため、人による確認が必要です。何も変更していません。",
	},
	"told.next": {
		"Look at the finding, and at which instances it concerns. If one of them has an open incident, weigh this in your decision.",
		"検出結果と、関係するインスタンスを確認してください。対応中のインシデントがあれば、決定の際に考慮してください。",
	},

	"stopped.subject": {"[URGENT] Incident response itself ended badly", "[緊急・要対応] インシデント対応の処理自体が異常終了しました"},
	"stopped.story": {
		"An execution of the incident response ended {status}. What it had not yet done is not done: a person must look at it.",
		"インシデント対応の実行が {status} で終わりました。未完了の処理は行われていません。人による確認が必要です。",
	},
	"stopped.next": {
		"Open the execution in the Step Functions console and see in which state it ended.\n" +
			"Check whether the instance is in quarantine. Isolate it by hand if it is not. Whatever was isolated stays isolated.\n" +
			"There may be no signed report of how it ended: cordon show names those that there are.",
		"Step Functionsコンソールで実行を開き、どのステートで終わったかを確認してください。\n" +
			"インスタンスが隔離されているか確認し、されていなければ手動で隔離してください。隔離済みのものは隔離されたままです。\n" +
			"終了時の署名付き報告がない場合があります。ある報告は cordon show で確認できます。",
	},

	"asked.subject": {"[DECIDE] Terminate, keep or release? {instance}", "[要決定] 終了・隔離継続・解放を選んでください: {instance}"},
	"asked.story": {
		"Decide about EC2 instance {instance}, which is isolated: terminate it, keep it isolated, or release it. Until {until}.",
		"隔離中のEC2インスタンス {instance} について、終了・隔離継続・解放のいずれかを {until} までに決定してください。",
	},
	"asked.next": {"", ""},

	"askedAgain.subject": {"[DECIDE AGAIN] Terminate, keep or release? {instance}", "[再決定] 終了・隔離継続・解放を選んでください: {instance}"},
	"askedAgain.story": {
		"Decide again about EC2 instance {instance}, which stays isolated: the last decision could not be carried out. Until {until}.",
		"前回の決定を実行できなかったため、隔離中のEC2インスタンス {instance} について {until} までにもう一度決定してください。",
	},
	"askedAgain.next": {"", ""},

	"askedLater.subject": {"[DECIDE] You are asked once more: {instance}", "[要決定] もう一度決定をお願いします: {instance}"},
	"askedLater.story": {
		"An operator asked for a decision about EC2 instance {instance}, on which nobody works any more. Nothing changes until one of you decides, until {until}.",
		"運用者が、対応の終わったEC2インスタンス {instance} についての決定を求めています。{until} までにどなたかが決定するまで、何も変わりません。",
	},
	"askedLater.next": {
		"See what the record holds before you decide: cordon show {incident}.",
		"決定の前に記録を確認してください: cordon show {incident}。",
	},

	"reminded.subject": {"[DECIDE] Nobody has decided, {left} left: {instance}", "[要決定] 未決定です。残り{left}: {instance}"},
	"reminded.story": {
		"Nobody has decided yet about EC2 instance {instance}, which is isolated: terminate it, keep it isolated, or release it. {left} left, until {until}.",
		"隔離中のEC2インスタンス {instance} について、まだ決定がありません。終了・隔離継続・解放のいずれかを決定してください。残り{left} ({until} まで)。",
	},
	"reminded.next": {
		"The link is the one you were mailed before. Reminders come at growing intervals.",
		"リンクは以前お送りしたものと同じです。再通知の間隔は次第に長くなります。",
	},

	"oneOfTwo.subject": {"[DECIDE] One of two decided to terminate, {left} left: {instance}", "[要決定] 2人のうち1人が終了を決定。残り{left}: {instance}"},
	"oneOfTwo.story": {
		"One person decided to terminate EC2 instance {instance}, and nothing is terminated until another person decides the same. {left} left, until {until}.",
		"EC2インスタンス {instance} の終了を1人が決定しました。別の人が同じ決定をするまで終了されません。残り{left} ({until} まで)。",
	},
	"oneOfTwo.next": {
		"Whoever agrees decides the same; whoever does not keeps or releases it, alone. The link is the one you were mailed before.",
		"同意する場合は同じ決定を、同意しない場合は隔離継続または解放を決定してください (1人で決定できます)。リンクは以前お送りしたものと同じです。",
	},

	"remindedBefore.subject": {"[DECIDE NOW] Still NOT isolated, {left} left: {instance}", "[至急決定] まだ隔離していません。残り{left}: {instance}"},
	"remindedBefore.story": {
		"EC2 instance {instance} is still NOT isolated and may be talking: nobody has decided yet. {left} left, until {until}.",
		"EC2インスタンス {instance} はまだ隔離していません。通信している可能性があります。まだ決定がありません。残り{left} ({until} まで)。",
	},
	"remindedBefore.next": {
		"The link is the one you were mailed before. Reminders come at growing intervals.",
		"リンクは以前お送りしたものと同じです。再通知の間隔は次第に長くなります。",
	},

	"remindedLater.subject": {"[DECIDE] You were asked once more, {left} left: {instance}", "[要決定] 再度お願いした決定がまだありません。残り{left}: {instance}"},
	"remindedLater.story": {
		"You were asked once more about EC2 instance {instance}, and nobody has decided yet. Nothing changes until one of you does. {left} left, until {until}.",
		"EC2インスタンス {instance} について再度お願いした決定が、まだありません。どなたかが決定するまで何も変わりません。残り{left} ({until} まで)。",
	},
	"remindedLater.next": {
		"The link is the one you were mailed before. Reminders come at growing intervals.",
		"リンクは以前お送りしたものと同じです。再通知の間隔は次第に長くなります。",
	},

	"escalated.subject": {"[ESCALATION] Nobody decides, {left} left: {instance}", "[エスカレーション] 決定がありません。残り{left}: {instance}"},
	"escalated.story": {
		"Nobody has decided about EC2 instance {instance}, which was isolated because GuardDuty found it compromised. {left} left, until {until}.",
		"GuardDutyが侵害を検出したため隔離したEC2インスタンス {instance} について、決定がありません。残り{left} ({until} まで)。",
	},
	"escalated.stake": {
		"The instance is cut off: what it served is down until somebody decides.\n" +
			"If it was a false alarm, only a release brings it back. Silence never does.\n" +
			"If it was none, an intruder was on it: what else they reached is looked into only once somebody takes this up.\n" +
			"If nobody decides until {until}, it stays isolated, and nobody is asked any more.",
		"インスタンスの通信は遮断されており、誰かが決定するまで、提供していたサービスは停止したままです。\n" +
			"誤検知の場合、解放の決定だけが元に戻します。決定がなければ戻りません。\n" +
			"誤検知でない場合、侵入者がいました。ほかに何へ到達したかは、誰かが対応を始めなければ調べられません。\n" +
			"{until} までに決定がなければ、隔離を続け、以後の依頼は行いません。",
	},
	"escalated.next": {
		"You get this because EscalationEmail names you: those who were asked have not answered.",
		"EscalationEmailの宛先としてお送りしています。依頼先からの回答がありません。",
	},

	"escalatedBefore.subject": {"[ESCALATION] NOT isolated, nobody decides, {left} left: {instance}", "[エスカレーション] 隔離しておらず、決定もありません。残り{left}: {instance}"},
	"escalatedBefore.story": {
		"EC2 instance {instance} is NOT isolated although GuardDuty found it compromised: a person must decide first, and nobody does. {left} left, until {until}.",
		"GuardDutyが侵害を検出したEC2インスタンス {instance} を隔離していません。事前の決定が必要ですが、決定がありません。残り{left} ({until} まで)。",
	},
	"escalatedBefore.stake": {
		"If the instance is compromised, the intruder is at work now.\n" +
			"If nobody decides until {until}, it is NOT isolated, and nobody is asked any more.",
		"侵害されている場合、侵入者は今も活動しています。\n" +
			"{until} までに決定がなければ、隔離せず、以後の依頼は行いません。",
	},
	"escalatedBefore.next": {
		"You get this because EscalationEmail names you: those who were asked have not answered. Isolating it by hand is always open to you.",
		"EscalationEmailの宛先としてお送りしています。依頼先からの回答がありません。手動での隔離はいつでも可能です。",
	},

	"unchanged.subject": {"Asked once more, and nothing was decided: {instance}", "再度お願いしましたが、決定はありません: {instance}"},
	"unchanged.story": {
		"You were asked once more about EC2 instance {instance}, and no decision was carried out. What is said of its network below is as it was last seen.",
		"EC2インスタンス {instance} について再度決定をお願いしましたが、実行した決定はありません。以下のネットワークの状態は、最後に確認した時点のものです。",
	},
	"unchanged.next": {
		"The link mailed for it no longer works. To be asked anew, or to decide without a link: cordon decide {incident} terminate|keep|release --reason TEXT.",
		"お送りしたリンクは無効です。もう一度依頼する場合、またはリンクなしで決定する場合: cordon decide {incident} terminate|keep|release --reason TEXT。",
	},

	"Terminated.subject": {"Closed: EC2 instance terminated: {instance}", "対応完了: EC2インスタンスを終了しました: {instance}"},
	"Terminated.story": {
		"EC2 instance {instance} is terminated, as decided by {person}. The evidence is kept.",
		"EC2インスタンス {instance} を {person} の決定により終了しました。証拠は保管されています。",
	},
	"Terminated.next": {
		"Volumes were kept where they had been protected: they are evidence, and they cost money. Delete them when you no longer need them.\n" +
			"Whoever may disable a key named above can make its snapshot unreadable: copy the snapshot under a key of your own.\n" +
			"Revoke the credentials of the instance's role, and find out how the intruder came in before you start a successor.",
		"保護されていたボリュームは残っています。証拠ですが、費用がかかります。不要になったら削除してください。\n" +
			"上記のキーを無効にできる人は、スナップショットを読めなくできます。ご自身のキーでコピーしてください。\n" +
			"インスタンスロールの認証情報を無効化し、後継を起動する前に侵入経路を特定してください。",
	},

	"Kept isolated.subject": {"Closed: EC2 instance stays isolated: {instance}", "対応完了: EC2インスタンスの隔離を継続します: {instance}"},
	"Kept isolated.story": {
		"EC2 instance {instance} stays isolated, as decided by {person}. It runs, and is left cut off from the network, as last seen below.",
		"EC2インスタンス {instance} は {person} の決定により隔離を継続します。起動したまま、通信を遮断した状態を保ちます。最後に確認した状態は以下のとおりです。",
	},
	"Kept isolated.next": {
		"It keeps costing money, and its disks may keep changing, until you terminate or release it, also months later: cordon decide {incident} terminate|release --reason TEXT.\n" +
			"What it had before stands in the incidents table, under the incident's ID, as prior#….\n" +
			"What protects it against termination and stop, as listed above, stays on.\n" +
			"Revoke the credentials of the instance's role.",
		"終了または解放するまで、費用がかかり、ディスクの内容は変わり続けることがあります。後から(数か月後でも)決定するには: cordon decide {incident} terminate|release --reason TEXT。\n" +
			"元の設定は、インシデントのテーブルにインシデントIDの prior#… として記録されています。\n" +
			"上記の終了保護と停止保護は有効なままです。\n" +
			"インスタンスロールの認証情報を無効化してください。",
	},

	"Already gone.subject": {"Closed: EC2 instance is gone: {instance}", "対応完了: EC2インスタンスはもう存在しません: {instance}"},
	"Already gone.story": {
		"EC2 instance {instance} does not exist any more, and nobody decided so here. Its incident is closed; the evidence is kept.",
		"EC2インスタンス {instance} はもう存在しません (ここでの決定によるものではありません)。インシデントを終了しました。証拠は保管されています。",
	},
	"Already gone.next": {
		"Find out who terminated it: TerminateInstances in CloudTrail.\n" +
			"Volumes that outlived it are evidence, and they cost money. Delete them when you no longer need them.",
		"CloudTrailのTerminateInstancesで、誰が終了したのかを確認してください。\n" +
			"残っているボリュームは証拠ですが、費用がかかります。不要になったら削除してください。",
	},

	"Released.subject": {"Closed: EC2 instance released: {instance}", "対応完了: EC2インスタンスを解放しました: {instance}"},
	"Released.story": {
		"EC2 instance {instance} was released as a false alarm, as decided by {person}.",
		"EC2インスタンス {instance} を {person} の決定により誤検知として解放しました。",
	},
	"Released.next": {
		"Repeats of the findings that were decided on are told and not acted on. A new type, or a more severe one, isolates it again.\n" +
			"Snapshots stay locked until their retention ends.",
		"決定済みの検出結果の再通知には対応しません。新しい種類、またはより重大な検出結果があれば再び隔離します。\n" +
			"スナップショットは保持期間が終わるまでロックされています。",
	},

	"Released.partly.subject": {"Closed: EC2 instance released, NOT all is back: {instance}", "対応完了(一部未復元): EC2インスタンスを解放しました: {instance}"},
	"Released.partly.story": {
		"EC2 instance {instance} was released as a false alarm, as decided by {person}, but NOT everything is as it was.",
		"EC2インスタンス {instance} を {person} の決定により誤検知として解放しましたが、一部は元に戻せていません。",
	},
	"Released.partly.next": {
		"Mend what keeps it back, as listed above, and release again, as often as you like: cordon decide {incident} release --reason TEXT. Or put it back by hand.\n" +
			"Repeats of the findings that were decided on are told and not acted on. A new type, or a more severe one, isolates it again.\n" +
			"Snapshots stay locked until their retention ends.",
		"上の「戻せなかったもの」の原因を解消して解放を再実行してください(何度でも可): cordon decide {incident} release --reason TEXT。または手動で戻してください。\n" +
			"決定済みの検出結果の再通知には対応しません。新しい種類、またはより重大な検出結果があれば再び隔離します。\n" +
			"スナップショットは保持期間が終わるまでロックされています。",
	},

	"Released.left.subject": {"Closed: EC2 instance left alone: {instance}", "対応完了: EC2インスタンスを隔離しませんでした: {instance}"},
	"Released.left.story": {
		"EC2 instance {instance} was NOT isolated, as decided by {person}. Nothing of it was changed.",
		"EC2インスタンス {instance} は {person} の決定により隔離していません。何も変更していません。",
	},
	"Released.left.next": {
		"Repeats of the findings that were decided on are told and not acted on. A new type, or a more severe one, opens a new incident.",
		"決定済みの検出結果の再通知には対応しません。新しい種類、またはより重大な検出結果があれば、新しいインシデントになります。",
	},

	"paused.subject": {"[URGENT] PAUSED, EC2 instance NOT isolated: {instance}", "[緊急・要対応] 一時停止中のため隔離していません: {instance}"},
	"paused.story": {
		"Cordon is paused: EC2 instance {instance} was NOT isolated although GuardDuty found it compromised. A person must look at it now.",
		"一時停止中のため、GuardDutyが侵害を検出したEC2インスタンス {instance} を隔離していません。今すぐ人による確認が必要です。",
	},
	"paused.next": {
		"Look at the finding and decide by hand. If nobody of yours paused Cordon, treat that as part of the attack.\n" +
			"To end the pause now, set the SSM parameter named above to off. It ends by itself at the time named above; a finding is then acted on when GuardDuty tells of it again.",
		"検出結果を確認し、手動で対応してください。一時停止に心当たりがない場合は、攻撃の一部とみなしてください。\n" +
			"今すぐ解除するには、上記のSSMパラメータを off にしてください。上記の時刻には自動的に解除され、その後にGuardDutyが再通知した検出結果から対応します。",
	},

	"unlisted.subject": {"[URGENT] Finding of an excepted type, NOT isolated: {instance}", "[緊急・要対応] 対象外の種類のため隔離していません: {instance}"},
	"unlisted.story": {
		"EC2 instance {instance} was NOT isolated: findings of this type are not acted on here. A person must look at it.",
		"この種類の検出結果は自動対応の対象外のため、EC2インスタンス {instance} を隔離していません。人による確認が必要です。",
	},
	"unlisted.next": {
		"Look at the finding and decide by hand. Which types are acted on is set by the parameters FindingTypes and NeverFindingTypes of the stack.",
		"検出結果を確認し、手動で対応してください。対象とする種類は、スタックのパラメータ FindingTypes と NeverFindingTypes で設定します。",
	},

	"askedBefore.subject": {"[DECIDE NOW] NOT isolated: isolate or leave alone? {instance}", "[至急決定] 隔離していません。隔離するか選んでください: {instance}"},
	"askedBefore.story": {
		"EC2 instance {instance} is NOT isolated and may be talking: too many are being isolated at once, so a person must decide. Until {until}.",
		"EC2インスタンス {instance} は隔離していません。通信している可能性があります。同時に隔離される数が多すぎるため、{until} までに決定してください。",
	},
	"askedBefore.next": {
		"Many findings at once are a large attack or a false alarm of the same kind many times. Look at what they have in common, then decide about each.\n" +
			"Critical findings (severity 9 and above) are isolated all the same.",
		"多数の検出は、大規模な攻撃か、同種の誤検知です。共通点を確認してから、それぞれについて決定してください。\n" +
			"重大な検出結果 (重大度9以上) は、これに関わらず隔離します。",
	},

	"notIsolated.subject": {"[URGENT] Nobody decided, EC2 instance NOT isolated: {instance}", "[緊急・要対応] 決定がなく、隔離していません: {instance}"},
	"notIsolated.story": {
		"EC2 instance {instance} is NOT isolated: a person was asked first, and no decision could be carried out. Isolate it by hand, or let it be.",
		"EC2インスタンス {instance} は隔離していません。事前の確認に対する有効な決定がありませんでした。手動で隔離するか、そのままにするか判断してください。",
	},
	"notIsolated.next": {
		"The link mailed for it no longer works. The incident stays open: when GuardDuty tells of a finding on this instance again, it is isolated, or you are asked again.",
		"お送りしたリンクは無効です。インシデントは対応中のままです。このインスタンスの検出結果が再通知されると、隔離するか、もう一度確認をお願いします。",
	},

	"Rehearsed.subject": {"[DRY RUN] EC2 instance NOT isolated, only rehearsed: {instance}", "[ドライラン] 隔離していません (予行のみ): {instance}"},
	"Rehearsed.story": {
		"DRY RUN: EC2 instance {instance} was NOT isolated and nothing of it was changed. The finding is real: a person must look at it. Below is what would have been done.",
		"ドライラン: EC2インスタンス {instance} は隔離しておらず、何も変更していません。検出結果は実際のものです。人による確認が必要です。以下は、行うはずだった対応です。",
	},
	"Rehearsed.next": {
		"Look at the finding and decide by hand. In earnest, people would now be asked to decide: terminate, keep isolated, or release; a dry run asks nobody.\n" +
			"To have instances isolated, set the parameter DryRun of the stack to false.",
		"検出結果を確認し、手動で対応してください。本番では、この後に終了・隔離継続・解放の決定をお願いしますが、ドライランではお願いしません。\n" +
			"自動隔離を有効にするには、スタックのパラメータ DryRun を false にしてください。",
	},

	"switched.subject": {"[URGENT] The pause switch of the incident response was changed", "[緊急・要確認] インシデント対応の一時停止スイッチが変更されました"},
	"switched.story": {
		"The pause switch of the incident response was changed. While it holds a time to come, nothing is isolated.",
		"インシデント対応の一時停止スイッチが変更されました。将来の時刻が設定されている間は、何も隔離しません。",
	},
	"switched.next": {
		"If nobody of yours changed it, treat that as part of an attack: set it to off, and see in CloudTrail who called PutParameter or DeleteParameter.",
		"変更に心当たりがない場合は、攻撃の一部とみなして off に戻し、CloudTrailで PutParameter または DeleteParameter の呼び出し元を確認してください。",
	},

	"other.subject": {"Incident response: {instance}", "インシデント対応: {instance}"},
	"other.story":   {"Something about EC2 instance {instance} that has no words of its own yet.", "EC2インスタンス {instance} についての、定型文のないお知らせです。"},
	"other.next":    {"Look at the execution of the incident response.", "インシデント対応の実行を確認してください。"},

	// What mails are made of.

	"scaling": {
		"ACT NOW: Auto Scaling group {group} may replace this instance and terminate it, evidence and all, once it fails its health check; termination protection does not stop that. " +
			"Suspend the group's HealthCheck, ReplaceUnhealthy and Terminate processes, or put the instance in standby.",
		"【至急】Auto Scalingグループ{group}は、ヘルスチェックに失敗したこのインスタンスを置き換え、証拠ごと終了させる可能性があります。終了保護では防げません。" +
			"グループのHealthCheck、ReplaceUnhealthy、Terminateの各プロセスを停止するか、インスタンスをスタンバイにしてください。",
	},

	"hazard": {"ATTENTION: {what}.", "【注意】{what}"},

	"because":         {"Why: {reason}", "理由: {reason}"},
	"seeFinding":      {"Look at the finding in GuardDuty:", "GuardDutyコンソールで検出結果を確認してください:"},
	"incident":        {"Incident", "インシデント"},
	"footer":          {"All times are UTC. Text in quotes was written by others and may try to mislead.", "時刻はすべてUTCです。「」内は第三者が書いた文字列で、誤解を招く内容の可能性があります。"},
	"quote":           {"\"{text}\"", "「{text}」"},
	"unknownInstance": {"(no instance named)", "(インスタンス不明)"},

	"drifted.subject": {"[URGENT] Somebody undid the isolation, it was put right: {instance}", "[緊急] 隔離が解除されたため修復しました: {instance}"},
	"drifted.story": {
		"Others undid the isolation of EC2 instance {instance}. Cordon found it and put it right; between the two times below it may have been connected.",
		"EC2インスタンス {instance} の隔離が第三者により解除されました。検出後ただちに修復しましたが、下記の2つの時刻の間は通信できた可能性があります。",
	},
	"drifted.next": {
		"Find out whether it was a colleague, an automation (Firewall Manager, AWS Config, Terraform) or the intruder, and stop it: Cordon goes on repairing, and each repair comes after the fact.\n" +
			"An automation of yours: exempt our groups from it, as docs/containment.md says. Nobody you know: take that identity's permissions away now.\n" +
			"Where CloudTrail names nobody yet, it is asked again while a decision is awaited, for six hours at most, and a further mail says who it was.",
		"同僚・自動化(Firewall Manager、AWS Config、Terraformなど)・侵入者のいずれによるものかを確認し、止めてください。修復は続けますが、常に事後になります。\n" +
			"自動化による場合は、docs/containment.md のとおり、Cordonのグループを対象外にしてください。心当たりがなければ、その主体の権限を今すぐ取り上げてください。\n" +
			"CloudTrailにまだ記録がない場合は、判断を待つ間に限り最長6時間まで再確認し、判明しだい別のメールでお知らせします。",
	},

	"halfReleased.subject": {"[URGENT] A release failed half-way, isolated again: {instance}", "[緊急] 解放が途中で失敗したため再隔離しました: {instance}"},
	"halfReleased.story": {
		"The release of EC2 instance {instance} that a person had decided on failed half-way. What it had connected is isolated again; between the two times below it may have been connected.",
		"人が決定したEC2インスタンス {instance} の解放が途中で失敗しました。接続されたものは再び隔離しましたが、下記の2つの時刻の間は通信できた可能性があります。",
	},
	"halfReleased.next": {
		"Nobody has to be looked for: it was Cordon's own release. Where CloudTrail names anybody else above, look at them.\n" +
			"Why it failed is in the mail that asks you again. Mend that, and decide again.",
		"Cordon自身の解放によるものなので、実行者を探す必要はありません。上記にCloudTrailがほかの主体を挙げている場合は、確認してください。\n" +
			"失敗の理由は、もう一度決定をお願いするメールにあります。解消してから、もう一度決定してください。",
	},

	"answered.subject": {"Decided, not yet carried out: {choice} {instance}", "決定されました(実行前): {choice} {instance}"},
	"answered.story": {
		"{person} decided about EC2 instance {instance}: {choice}. It is carried out when the evidence has come to its end.",
		"{person} がEC2インスタンス {instance} について「{choice}」と決定しました。証拠の収集が終わりしだい実行します。",
	},
	"answered.next": {
		"A further mail says how it ended. Until then the instance stays isolated.\n" +
			"If nobody of yours decided this, stop the execution of the incident response in the Step Functions console now: what is isolated stays isolated. Then look who has the link.",
		"結果は別のメールでお知らせします。それまで隔離を続けます。\n" +
			"心当たりのない決定の場合は、今すぐStep Functionsコンソールでインシデント対応の実行を停止してください(隔離済みのものは隔離されたままです)。その後、リンクを持つ人を確認してください。",
	},

	"driftedBy.subject": {"Who undid the isolation: {instance}", "隔離を解除した主体が判明しました: {instance}"},
	"driftedBy.story": {
		"CloudTrail now says who undid the isolation of EC2 instance {instance}. It was put right when it was found; you were told then.",
		"EC2インスタンス {instance} の隔離を解除した主体がCloudTrailで判明しました。検出時に修復し、お知らせ済みのものです。",
	},
	"driftedBy.next": {
		"Nobody you know: take that identity's permissions away now. An automation of yours: exempt our groups from it, as docs/containment.md says.",
		"心当たりがなければ、その主体の権限を今すぐ取り上げてください。自動化による場合は、docs/containment.md のとおり、Cordonのグループを対象外にしてください。",
	},

	"head.drifts":       {"Undone by others", "第三者による解除"},
	"drift":             {"Time {number}: {what}; as it should be at {since}, found undone at {at}, and put right", "{number} 回目: {what} ({since} には正常、{at} に解除を検出し修復)"},
	"drift.by":          {"{who} did it: {action} at {at}, from {from}", "実行者 {who}: {at} に {from} から {action} を呼び出し"},
	"drift.unknown":     {"CloudTrail cannot say who did it: {reason}", "CloudTrailでは実行者が分かりません: {reason}"},
	"head.stake":        {"What is at stake", "放置した場合の影響"},
	"head.finding":      {"What was found", "検出内容"},
	"head.contained":    {"Contained", "隔離済み"},
	"head.seen":         {", as seen at {at}", "({at} 時点)"},
	"head.notContained": {"NOT contained", "隔離できていないもの"},
	"head.staysOpen":    {"What isolation does not stop", "隔離では止められないもの"},
	"head.repaired":     {"Undone by others since, and put right", "第三者に元へ戻され、修復したもの"},
	"head.restored":     {"Put back as it was", "元に戻したもの"},
	"head.notBack":      {"NOT put back", "戻せなかったもの"},
	"head.brakes":       {"Brakes", "ブレーキ"},
	"head.taken":        {"Evidence that was taken", "取得した証拠"},
	"head.notTaken":     {"NOT taken", "取得できていないもの"},
	"head.protection":   {"Protection against loss", "消失からの保護"},
	"head.credentials":  {"Credentials of its role", "インスタンスロールの認証情報"},
	"head.decision":     {"Decision", "決定"},
	"head.next":         {"What comes next", "次に行うこと"},

	"instanceID":      {"Instance ID", "インスタンスID"},
	"name":            {"Name", "名前"},
	"account":         {"Account", "アカウント"},
	"region":          {"Region", "リージョン"},
	"instanceType":    {"Instance type", "インスタンスタイプ"},
	"platform":        {"Platform", "プラットフォーム"},
	"lifecycle":       {"Lifecycle", "購入方式"},
	"threat":          {"Threat type", "脅威タイプ"},
	"severity":        {"Severity", "重大度"},
	"title":           {"Title", "タイトル"},
	"role":            {"The instance's part in it", "インスタンスの役割"},
	"count":           {"Seen by GuardDuty so often", "GuardDutyの検出回数"},
	"finding":         {"Finding ID", "検出結果ID"},
	"execution":       {"Execution", "実行"},
	"executionStatus": {"It ended", "終了状態"},
	"executionError":  {"Error", "エラー"},
	"executionARN":    {"ARN", "ARN"},
	"choice":          {"Decision", "決定"},
	"person":          {"Decided by", "決定者"},
	"seconds":         {"Seconding the decision of", "1人目の決定者"},
	"reason":          {"Reason", "理由"},
	"decidedAt":       {"Decided at", "決定日時"},

	"severity.critical": {"critical", "重大"},
	"severity.high":     {"high", "高"},
	"severity.medium":   {"medium", "中"},
	"severity.low":      {"low", "低"},

	"role.TARGET": {"target: it was attacked", "標的 (TARGET): 攻撃を受けた側"},
	"role.ACTOR":  {"actor: it did the attacking", "実行者 (ACTOR): 攻撃を行った側"},

	"place.quarantine": {"quarantined, nothing in, nothing out", "隔離 (送受信とも遮断)"},
	"place.capture":    {"contained for the memory capture, nothing in, out only to the listed AWS endpoints", "メモリ取得のための隔離 (受信遮断、送信は指定のAWSエンドポイントのみ)"},
	"place.open":       {"open", "未隔離"},

	"open.tracked-flows": {
		"Interfaces passed through an open group for a moment, which ends connections that were established. Not those through a NAT gateway, load balancer, transit gateway or PrivateLink, and ICMP: they stay tracked whatever is done, and may live on.",
		"インターフェイスを一瞬だけ開放グループに通すことで、確立済みの接続を切断します。ただし、NATゲートウェイ、ロードバランサー、Transit Gateway、PrivateLink経由の接続とICMPは追跡され続け、残ることがあります。",
	},
	"open.established-flows": {
		"Every connection that was established may live on: ConvertConnections is false, so interfaces went into their group directly. Nothing new gets in or out. A network ACL on the subnet cuts what is left, and everybody else's traffic there too.",
		"確立済みの接続はすべて残ることがあります。ConvertConnections が false のため、インターフェイスを直接グループへ移しました。新規の通信は遮断しています。残った接続はサブネットのネットワークACLで切断できますが、同じサブネットの他の通信にも影響します。",
	},
	"opening.none":    {"Looked for and not found: {what}.", "確認し、見つかりませんでした: {what}"},
	"opening.unknown": {"Not known, look yourself: {what}: {reason}", "不明 (要確認): {what}: {reason}"},
	"opening.nat":     {"NAT gateways", "NATゲートウェイ"},
	"opening.nat.found": {
		"NAT gateways in its VPCs: {detail}. Connections through them stay tracked, and those that were established may live on.",
		"VPCにNATゲートウェイがあります: {detail}。経由する接続は追跡され続け、確立済みのものは残ることがあります。",
	},
	"opening.balancer": {"network and gateway load balancers", "NLBとGWLB"},
	"opening.balancer.found": {
		"Network or gateway load balancers in its VPCs: {detail}. Connections through them stay tracked, and those that were established may live on.",
		"VPCにNLBまたはGWLBがあります: {detail}。経由する接続は追跡され続け、確立済みのものは残ることがあります。",
	},
	"opening.transit": {"transit gateways", "Transit Gatewayの接続"},
	"opening.transit.found": {
		"Transit gateways attached to its VPCs: {detail}. Connections through them stay tracked and may live on; look at the networks behind them too.",
		"VPCにTransit Gatewayが接続されています: {detail}。経由する接続は残ることがあります。その先のネットワークも確認してください。",
	},
	"opening.endpoint": {"VPC endpoints", "VPCエンドポイント"},
	"opening.endpoint.found": {
		"Interface endpoints (PrivateLink) in its VPCs: {detail}. Connections to them stay tracked, and those that were established may live on.",
		"VPCにインターフェイスエンドポイント(PrivateLink)があります: {detail}。確立済みの接続は残ることがあります。",
	},
	"opening.connect": {"Instance Connect endpoints", "EC2 Instance Connectエンドポイント"},
	"opening.connect.found": {
		"Instance Connect endpoints in its VPCs: {detail}. Nobody new gets in through them; a tunnel that was open may live on.",
		"VPCにEC2 Instance Connectエンドポイントがあります: {detail}。新規の接続はできませんが、開いていたトンネルは残ることがあります。",
	},
	"opening.peering": {"peered VPCs", "VPCピアリング"},
	"opening.peering.found": {
		"Peered with other VPCs: {detail}. Machines there could be reached until the isolation: look at them too.",
		"他のVPCとピアリングされています: {detail}。隔離前は通信できたため、その先のマシンも確認してください。",
	},
	"opening.shared": {"shared VPCs", "共有VPC"},
	"opening.shared.found": {
		"Its VPC is shared by another account: {detail}. Others there could be reached until the isolation, and gateways of the owner are not all to be seen from here.",
		"VPCは他のアカウントから共有されています: {detail}。隔離前は他の参加者と通信でき、所有者のゲートウェイはここからすべては見えません。",
	},
	"opening.buckets": {"other buckets behind the endpoints of the capture", "メモリ取得用エンドポイントの先のほかのバケット"},
	"opening.buckets.found": {
		"Until it was sealed, the endpoints of the memory capture led to other buckets, too: {detail}. Data can have left that way.",
		"完全遮断までの間、メモリ取得用のエンドポイントからほかのバケットにも届きました: {detail}。データが持ち出された可能性があります。",
	},
	"opening.dns": {"the VPC resolver", "VPCリゾルバー"},
	"opening.dns.found": {
		"The resolver of its VPCs answers: {detail}. Security groups do not filter it; data can leave by DNS queries.",
		"VPCリゾルバーが有効です: {detail}。セキュリティグループでは止められず、DNS問い合わせでデータを持ち出せます。",
	},
	"opening.metadata": {"the metadata service", "インスタンスメタデータサービス"},
	"opening.metadata.found": {
		"The instance metadata service answers ({detail}), role credentials included. Security groups do not filter it.",
		"インスタンスメタデータサービスが応答します ({detail}、ロールの認証情報を含む)。セキュリティグループでは止められません。",
	},
	"opening.cluster": {"EKS or ECS", "EKSまたはECS"},
	"opening.cluster.found": {
		"By its tags it is a node of a cluster: {detail}. The cluster takes it for lost: Kubernetes starts its pods elsewhere after five minutes by default, ECS its tasks; an autoscaler or Karpenter may terminate it. Pods and tasks that moved may be compromised too.",
		"タグによるとクラスターのノードです: {detail}。クラスターからは失われたと見なされ、KubernetesのPodは既定で5分後、ECSのタスクも別ノードで起動されます。オートスケーラーやKarpenterが終了させることもあります。移動したPod・タスクも侵害されている可能性があります。",
	},
	"opening.session": {"SSM sessions", "SSMセッション"},
	"opening.session.found": {
		"Session Manager sessions were open at the time: {detail}. Each lives on as long as the connection of the agent does; end it there if it is not yours.",
		"その時点で開いていたSession Managerセッション: {detail}。エージェントの接続が続く間は残ります。心当たりがなければ終了させてください。",
	},
	"open.dns":         {"DNS queries to the VPC's resolver are not filtered by security groups; data can leave that way.", "VPCリゾルバーへのDNS問い合わせはセキュリティグループでは止められず、データ持ち出しの経路になり得ます。"},
	"open.metadata":    {"The instance metadata service still answers, role credentials included.", "インスタンスメタデータサービスは引き続き応答します (ロールの認証情報を含む)。"},
	"open.time":        {"Time synchronisation is not filtered by security groups.", "時刻同期はセキュリティグループでは止められません。"},
	"open.credentials": {"Credentials that were stolen before work from anywhere.", "すでに盗まれた認証情報は、どこからでも使えます。"},
	"open.otherCredentials": {
		"Credentials of its role are denied below; not so other keys that were on it: those on disk, of pods and tasks (IRSA, Pod Identity, ECS), sessions chained by AssumeRole, pre-signed addresses.",
		"ロールの認証情報は下記のとおり拒否しています。ただし、ディスク上のキー、Podやタスクの認証情報(IRSA、Pod Identity、ECS)、AssumeRoleで連鎖したセッション、署名付きURLなど、ほかの認証情報には効きません。",
	},

	"denial.allowed":     {"nothing is denied to them", "拒否していません"},
	"denial.narrowed":    {"denied for this instance: everything but what the SSM agent needs", "このインスタンスに限り、SSMエージェントに必要なもの以外をすべて拒否しています"},
	"denial.denied":      {"denied for this instance: everything", "このインスタンスに限り、すべて拒否しています"},
	"credentials.role":   {"role {role}", "ロール {role}"},
	"credentials.policy": {"by its inline policy {policy}; while stolen keys may be alive it must stay, whatever becomes of the instance", "インラインポリシー {policy} によります。盗まれた認証情報が有効な間は、インスタンスがどうなっても残してください"},
	"credentials.shared": {"instance {instance} has the same role and is not affected: keys taken from it still work", "インスタンス {instance} も同じロールを使っていますが、影響はありません。そこから盗まれた認証情報は使えます"},

	"open.endpoints": {"During the memory capture TCP 443 to the listed SSM and S3 endpoints is open; where the endpoint policy allows other buckets, data can leave to them.", "メモリ取得中は、指定のSSM・S3エンドポイントへのTCP 443が開いています。エンドポイントポリシーがほかのバケットを許可している場合、そこへ持ち出される可能性があります。"},

	"open.central": {"Its SSM and S3 endpoints are in a central VPC: during the memory capture TCP 443 is open to everything in the networks that CentralEndpointCidrs names.", "SSM・S3エンドポイントは共有VPCにあります。メモリ取得中は、CentralEndpointCidrsで指定したネットワーク全体へのTCP 443が開いています。"},

	"snapshots":          {"Snapshots of the volumes", "ボリュームのスナップショット"},
	"snapshot.completed": {"completed", "完了"},
	"snapshot.pending":   {"pending", "作成中"},
	"snapshot.error":     {"failed", "失敗"},
	"snapshot.locked":    {", locked against deletion", "、削除ロックあり"},
	"snapshot.unlocked":  {", NOT locked", "、ロックなし"},
	"snapshot.key":       {", encrypted under {key}", "、暗号化キー {key}"},
	"snapshot.duplicate": {", duplicate (an answer of AWS was lost)", "、重複 (AWSの応答が失われたため)"},
	"snapshot.again":     {"; it was made again", "。作り直しました"},
	"missing":            {"NO snapshot of volume {volume}", "スナップショットのないボリューム: {volume}"},
	"notIn":              {"{device} is instance store: it is in no snapshot and is lost when the instance stops", "{device} はインスタンスストアのため、スナップショットに含まれず、停止すると失われます"},
	"note.rootInStore":   {"The root device {detail} is instance store: no snapshot holds the system, and it is lost when the instance stops", "ルートデバイス {detail} はインスタンスストアです。システムはどのスナップショットにも含まれず、停止すると失われます"},
	"note.hibernation":   {"The instance may be hibernated: what was in memory then is on the root volume, and in its snapshot", "このインスタンスは休止できます。休止時のメモリ内容はルートボリュームとそのスナップショットに残ります"},
	"note.shared":        {"A volume is attached to other instances too, which are not isolated and may change it: {detail}", "ほかのインスタンスにもアタッチされたボリュームがあります。それらは隔離されておらず、書き換える可能性があります: {detail}"},
	"note.volumeGone":    {"Volume {detail} does not exist any more", "ボリューム {detail} はもう存在しません"},
	"note.detached":      {"Volume {detail} was detached since", "ボリューム {detail} はその後デタッチされました"},
	"note.deletedToo":    {"Volume {detail} would be deleted with the instance", "ボリューム {detail} はインスタンスとともに削除されます"},
	"note.later":         {"A snapshot shows another moment than the others: {detail}", "ほかと異なる時点のスナップショットがあります: {detail}"},
	"note.volumesUnread": {"What else the volumes are attached to could not be read: {detail}", "ボリュームのほかのアタッチ先を確認できませんでした: {detail}"},
	"copies":             {"Copies in the evidence account", "証拠アカウントへのコピー"},
	"copy":               {"Copy of {source}: {id} in account {account}, under {key}", "{source} のコピー: アカウント {account} の {id}、キー {key}"},
	"memory":             {"Memory", "メモリ"},
	"memoryObject":       {"Memory image: {object} in the evidence bucket, {bytes} bytes", "メモリイメージ: 証拠バケットの {object} ({bytes} バイト)"},
	"memoryHash":         {"SHA-256 as the host claims it: {sha256}", "SHA-256 (ホストの申告値): {sha256}"},
	"memoryPart":         {"PART of the memory image: {object} in the evidence bucket, {bytes} bytes", "メモリイメージの一部: 証拠バケットの {object} ({bytes} バイト)"},
	"console":            {"Console", "コンソール"},
	"consoleOutput":      {"Console output", "コンソール出力"},
	"consoleScreenshot":  {"Console screenshot", "コンソールのスクリーンショット"},
	"consoleObject":      {"{what}: {object} in the evidence bucket, {bytes} bytes, SHA-256 {sha256}", "{what}: 証拠バケットの {object} ({bytes} バイト、SHA-256 {sha256})"},
	"triage":             {"No memory image. In its place, text from the host about processes, sockets, modules, mounts and sessions, which is a claim: {object} in the evidence bucket, {bytes} bytes, SHA-256 computed by Cordon: {sha256}", "メモリイメージはありません。代わりに、プロセス・ソケット・モジュール・マウント・セッションについてホストが申告したテキスト: 証拠バケットの {object} ({bytes} バイト)、SHA-256 (Cordonが計算): {sha256}"},
	"digest":             {"Hash of the image", "イメージのハッシュ"},
	"digestFound":        {"SHA-256 of the image in the bucket, computed by Cordon: {sha256}", "バケット内のイメージのSHA-256 (Cordonが計算): {sha256}"},
	"digestAgrees":       {"The host claimed the same SHA-256.", "ホストの申告値と一致しています。"},
	"digestDiffers":      {"THE HOST CLAIMED ANOTHER: {sha256}. What it sent is not what it says it read; do not take either for the truth without a look.", "ホストの申告値は異なります: {sha256}。ホストが送ったものは、読み取ったと言うものと一致しません。確認するまでどちらも信用しないでください。"},
	"protected":          {"set: {what}", "設定済み: {what}"},
	"notProtected":       {"NOT set: {what}", "設定できず: {what}"},

	"status.underway": {"under way", "進行中"},
	"status.ok":       {"ok", "正常"},
	"status.partial":  {"partial", "一部のみ"},
	"status.failed":   {"failed", "失敗"},
	"status.skipped":  {"not done", "未実施"},

	"choice.terminate":        {"Terminate", "終了する"},
	"choice.terminate-anyway": {"Terminate without complete evidence", "証拠が揃わないまま終了する"},
	"choice.keep":             {"Keep isolated", "隔離を継続する"},
	"choice.release":          {"Release", "解放する"},
	"choice.isolate":          {"Isolate", "隔離する"},
	"choice.leave":            {"Leave alone", "隔離しない"},

	"does.terminate": {
		"destroys the instance for good, once its snapshots are complete. What is in memory and on instance store is gone. This cannot be undone.",
		"スナップショットの完了後、インスタンスを完全に破棄します。メモリとインスタンスストアの内容は失われます。元に戻せません。",
	},
	"does.terminate-anyway": {
		"destroys the instance now, although snapshots are missing or incomplete as said above. That evidence is lost for ever; that you chose so is recorded under your name.",
		"上記のとおりスナップショットが不足・未完了のまま、インスタンスを完全に破棄します。その証拠は永久に失われ、この選択はお名前とともに記録されます。",
	},
	"does.keep": {
		"ends this incident and leaves the instance running and cut off. It can be terminated or released later.",
		"インシデントを終え、インスタンスを起動したまま隔離し続けます。後から終了または解放できます。",
	},
	"does.release": {
		"puts back the security groups and settings as they were before. If the instance is compromised, the intruder is back. A memory capture under way is ended.",
		"セキュリティグループと設定を元に戻します。侵害されている場合、侵入者も戻ってきます。進行中のメモリ取得は打ち切られます。",
	},

	"does.isolate": {
		"snapshots the instance and cuts it off from the network now, as for any finding. Then you are asked whether to terminate, keep or release it.",
		"通常の検出結果と同様に、今すぐスナップショットを取得し、ネットワークから隔離します。その後、終了・隔離継続・解放の決定をお願いします。",
	},
	"does.leave": {
		"ends this incident and changes nothing. If the instance is compromised, the intruder stays. Repeats of the finding are told and not acted on.",
		"何も変更せずにインシデントを終えます。侵害されている場合、侵入者は残ります。同じ検出結果の再通知には対応しません。",
	},

	"ask.link":    {"Decide here:", "決定はこちら:"},
	"ask.choices": {"What each decision does", "それぞれの決定の内容"},
	"ask.silence": {
		"If nobody decides until {until}, the instance stays isolated and nothing is terminated.",
		"{until} までに決定がなければ、隔離を続け、何も終了しません。",
	},
	"ask.before.silence": {
		"If nobody decides until {until}, the instance is NOT isolated, and people are told so.",
		"{until} までに決定がなければ、隔離せず、その旨をお知らせします。",
	},
	"ask.later.silence": {
		"If nobody decides until {until}, everything stays as it is.",
		"{until} までに決定がなければ、すべて元のままです。",
	},
	"ask.command": {
		"Without the link, as who your AWS credentials say: {command}",
		"リンクを使わず、AWSの認証情報で決定する場合: {command}",
	},
	"ask.others": {
		"The link to decide was mailed to {asked}: get hold of them. It is not in this mail, because whoever has it can decide, and this address may be a pager or a ticket that many read.",
		"決定用のリンクは {asked} に送りました。連絡を取ってください。リンクを持つ人は誰でも決定でき、この宛先は多くの人が読む通知先やチケットかもしれないため、このメールには含めていません。",
	},
	"ask.secret": {
		"Whoever has this link can decide. Do not forward it. Opening it changes nothing.",
		"このリンクを持つ人は誰でも決定できます。転送しないでください。開くだけでは何も変わりません。",
	},

	"ask.signIn": {
		"Opening it asks you to sign in, and changes nothing. Who you are is recorded as your organization knows you.",
		"開くとサインインが求められます。開くだけでは何も変わりません。決定者は組織のIDで記録されます。",
	},
	"ask.two": {
		"A termination needs two people: after the first, a second one decides by the same link. Everything else needs one.",
		"終了には2人の決定が必要です。1人目の後に、別の人が同じリンクから決定します。その他は1人で決定できます。",
	},

	// Errors that people meet, by the name Step Functions knows them.

	"error.States.Timeout":                  {"a step did not answer in time", "処理が時間内に応答しませんでした"},
	"error.States.HeartbeatTimeout":         {"a step did not answer in time", "処理が時間内に応答しませんでした"},
	"error.OutOfTime":                       {"a step ran out of time", "処理が時間切れになりました"},
	"error.Sandbox.Timedout":                {"a step ran out of time", "処理が時間切れになりました"},
	"error.States.DataLimitExceeded":        {"an answer was too large for Step Functions", "応答がStep Functionsの上限を超えました"},
	"error.InstanceNotFound":                {"the account does not know the instance", "インスタンスがアカウントに見つかりません"},
	"error.NotContained":                    {"at least one network interface is not contained", "隔離できていないネットワークインターフェイスがあります"},
	"error.Superseded":                      {"another execution took the incident over", "別の実行がインシデントを引き継ぎました"},
	"error.Refused":                         {"the decision cannot be carried out as things stand", "現状では決定を実行できません"},
	"error.NotTold":                         {"the mail about it was not accepted", "メールが受け付けられませんでした"},
	"error.EvidenceIncomplete":              {"the evidence is not complete", "証拠が揃っていません"},
	"error.UnauthorizedOperation":           {"AWS denied the call: the function's role or a service control policy forbids it", "AWSに拒否されました (関数のロールまたはSCPによる)"},
	"error.AccessDenied":                    {"AWS denied the call: the function's role or a policy forbids it", "AWSに拒否されました (関数のロールまたはポリシーによる)"},
	"error.AccessDeniedException":           {"AWS denied the call: the function's role or a policy forbids it", "AWSに拒否されました (関数のロールまたはポリシーによる)"},
	"error.RequestLimitExceeded":            {"AWS throttled the calls", "AWSの呼び出しが制限されました"},
	"error.ThrottlingException":             {"AWS throttled the calls", "AWSの呼び出しが制限されました"},
	"error.Lambda.TooManyRequestsException": {"too many functions were running at once", "同時に実行できる関数の上限に達しました"},
	"error.Lambda.Unknown":                  {"a step died", "処理が異常終了しました"},
	"error.Unexpected":                      {"an error nobody foresaw", "想定外のエラー"},

	// The report of an incident.

	"report.title":           {"Incident report: {instance}", "インシデント報告: {instance}"},
	"report.ending":          {"Ending", "結果"},
	"ending.undecided":       {"Isolated, undecided", "隔離中・未決定"},
	"ending.notContained":    {"NOT contained", "隔離できていません"},
	"ending.notSealed":       {"NOT contained as far as is known", "隔離を確認できません"},
	"ending.paused":          {"NOT isolated: Cordon was paused", "隔離していません (一時停止中)"},
	"ending.notIsolated":     {"NOT isolated: nobody decided", "隔離していません (決定なし)"},
	"reportFollows":          {"When this execution ends, a signed report says how it stands then: cordon show {incident} names it.", "この実行が終わると、その時点の状況を署名付きの報告に記します。場所は cordon show {incident} で確認できます。"},
	"reportIs":               {"Signed report: {object} in the evidence bucket", "署名付き報告: 証拠バケットの {object}"},
	"ending.Terminated":      {"Terminated", "終了済み"},
	"ending.Kept isolated":   {"Kept isolated", "隔離を継続"},
	"ending.Released":        {"Released", "解放済み"},
	"ending.Released.partly": {"Released, not all is back", "解放 (一部未復元)"},
	"ending.Released.left":   {"Left alone", "隔離せず"},
	"report.containedAfter":  {"Contained after", "隔離までの時間"},
	"report.never":           {"never", "隔離していません"},
	"report.nothing":         {"nothing", "なし"},
	"report.gaps":            {"{n}, see below", "{n} 件 (下記)"},
	"report.timeline":        {"Timeline", "経過"},
	"report.picture":         {"Timeline of {n} moments; the list that follows says the same in words", "{n} 件の経過の図。続くリストが同じ内容を示します"},
	"report.left":            {"({n} not drawn before it)", "(この前の {n} 件は図から省略)"},
	"report.more":            {"… and {n} more, which the manifest has", "… ほか {n} 件 (マニフェストに記載)"},
	"report.description":     {"Description", "説明"},
	"report.findings":        {"All findings that came", "受信したすべての検出結果"},
	"report.time":            {"Time", "時刻"},
	"report.evidence":        {"Evidence", "証拠"},
	"report.nothingTaken":    {"Nothing was taken.", "取得したものはありません。"},
	"report.interface":       {"Network interface", "ネットワークインターフェイス"},
	"report.before":          {"Groups before", "隔離前のグループ"},
	"report.isolated":        {"Groups as isolated", "隔離時のグループ"},
	"report.where":           {"Verified in, while isolated", "隔離中の確認結果"},
	"report.decisions":       {"Decisions", "決定"},
	"report.requests":        {"What people were asked", "決定の依頼"},
	"report.asked":           {"Request {round}, from {at} until {until}", "依頼 {round} ({at} から {until} まで)"},
	"report.unmailed":        {"; NO mail of it was accepted", "。メールは受け付けられませんでした"},
	"report.again":           {"; asked again, because the decision before could not be carried out: {reason}", "。前の決定を実行できなかったため再度依頼: {reason}"},
	"report.notStopped":      {"It was never found contained: nothing is known to be stopped.", "隔離を一度も確認していません。止められた通信があるとは言えません。"},
	"report.connected":       {"Since its release it is connected again.", "解放により、通信は再開しています。"},
	"report.unchanged":       {"not changed", "変更なし"},
	"report.unseen":          {"not seen", "未確認"},
	"report.underWay":        {"Not at its end when this was written", "作成時点で未完了"},
	"report.gapsGoing":       {"{n}, and {going} still under way", "{n} 件、ほか {going} 件が進行中"},
	"report.going":           {"{going} still under way", "{going} 件が進行中"},
	"report.hashingLater":    {"Hash of the memory image: nobody goes on with it until somebody decides; {reason}", "メモリイメージのハッシュ (決定があるまで再開しません): {reason}"},
	"report.copyingLater":    {"Copies in the evidence account: nobody goes on with them until somebody decides; {reason}", "証拠アカウントへのコピー (決定があるまで再開しません): {reason}"},
	"report.hashing":         {"Hash of the memory image: {reason}", "メモリイメージのハッシュ: {reason}"},
	"report.copying":         {"Copies in the evidence account: {reason}", "証拠アカウントへのコピー: {reason}"},
	"report.nobody":          {"No decision is recorded.", "記録された決定はありません。"},
	"report.consent":         {"Consent", "同意事項"},
	"report.override":        {"to terminate although evidence was incomplete", "証拠が不完全なままの終了"},
	"report.force":           {"to release although it was not the same machine any more", "別のマシンになっていても解放すること"},
	"report.known":           {"How the person is known", "本人確認"},
	"report.request":         {"Request", "依頼"},
	"report.part":            {"Of two people", "2人による決定"},
	"part.unseconded":        {"the first; nobody has seconded it, and alone it is not carried out", "1人目。2人目の決定がなく、単独では実行されません"},
	"part.first":             {"the first, and seconded", "1人目 (2人目の決定あり)"},
	"part.second":            {"the second", "2人目"},
	"report.from":            {"From", "接続元"},
	"report.agent":           {"Browser, as it calls itself", "ブラウザー (自己申告)"},
	"report.shown":           {"SHA-256 of the facts shown", "表示した事実のSHA-256"},
	"report.objects":         {"Objects in the evidence bucket", "証拠バケットのオブジェクト"},
	"report.key":             {"Key", "キー"},
	"report.bytes":           {"Bytes", "バイト数"},
	"report.missing":         {"In the record, but not in the bucket, or without a hash", "記録にあり、バケットにない、またはハッシュのないもの"},
	"report.execution":       {"Execution", "実行"},
	"report.check": {
		"This page is named, with its SHA-256, in the signed manifest {manifest}; cordon verify checks both. Some places here say less than the manifest, none says more.",
		"このページは署名付きマニフェスト {manifest} にSHA-256とともに記載され、cordon verify で検証できます。このページの内容はマニフェストの範囲を超えません。",
	},

	"moment.found":             {"GuardDuty's finding arrived", "GuardDutyの検出結果を受信"},
	"moment.joined":            {"Another finding joined", "別の検出結果が追加"},
	"moment.opened":            {"Incident opened", "インシデントを登録"},
	"moment.protecting":        {"Protection began", "保護を開始"},
	"moment.isolating":         {"Isolation began", "隔離を開始"},
	"moment.contained":         {"Contained, and verified", "隔離を確認"},
	"moment.sealed":            {"Sealed: nothing in, nothing out", "完全遮断を確認"},
	"moment.capturing":         {"Memory capture began", "メモリ取得を開始"},
	"moment.claimed":           {"Memory sent, says the host", "メモリ送信終了 (ホストの申告)"},
	"moment.captured":          {"Memory capture complete", "メモリ取得を完了"},
	"moment.captureEnded":      {"Memory capture ended early", "メモリ取得が途中で終了"},
	"moment.uncaptured":        {"Memory capture still under way", "メモリ取得は進行中"},
	"moment.captureEndUnknown": {"Memory capture over by now", "メモリ取得は終了 (時刻不明)"},
	"moment.snapshots":         {"Snapshots show this moment", "スナップショットの時点"},
	"moment.complete":          {"Snapshots complete", "スナップショットを完了"},
	"moment.last":              {"Last complete snapshot", "最後に完了したスナップショット"},
	"moment.incomplete":        {"Snapshots still under way", "スナップショットは進行中"},
	"moment.output":            {"Console output kept", "コンソール出力を保存"},
	"moment.screenshot":        {"Console screenshot kept", "スクリーンショットを保存"},
	"moment.asked":             {"People were asked ({round})", "決定を依頼 ({round})"},
	"moment.decided":           {"Decided: {choice}", "決定: {choice}"},
	"moment.first":             {"The first of two decided: {choice}", "1人目の決定: {choice}"},
	"moment.undone":            {"Undone by others, put right", "第三者による解除を修復"},
	"moment.terminating":       {"Termination began", "終了処理を開始"},
	"moment.closed":            {"Closed: {ending}", "対応完了: {ending}"},
	"moment.stands":            {"Reported, still open", "報告 (対応中のまま)"},

	"gap.s":   {"{n} s", "{n}秒"},
	"gap.min": {"{n} min", "{n}分"},
	"gap.h":   {"{h} h {min} min", "{h}時間{min}分"},
	"gap.d":   {"{d} d {h} h", "{d}日{h}時間"},

	// The decision page.

	"page.title":              {"Decide about an isolated EC2 instance", "隔離中のEC2インスタンスについての決定"},
	"page.earlier":            {"Who decided so far", "これまでの決定"},
	"page.earlier.none":       {"Nobody has decided yet.", "まだ誰も決定していません。"},
	"page.earlier.unseconded": {"Request {round}: {choice}, by {person}, at {at}; the first of two, and nobody seconded it", "依頼{round}: {choice}、{person}、{at} (2人のうち1人目、2人目なし)"},
	"page.earlier.one":        {"Request {round}: {choice}, by {person}, at {at}", "依頼{round}: {choice}、{person}、{at}"},
	"page.left":               {"{left} left", "残り{left}"},
	"page.found":              {"What was found", "検出内容"},
	"page.evidence":           {"Evidence, as it stands now", "現時点の証拠"},
	"page.gaps":               {"Gaps in the evidence", "証拠の欠落"},
	"page.gaps.none":          {"No gap is known.", "既知の欠落はありません。"},
	"page.waits":              {"Before that, it would still wait for:", "その前に、次の完了を待ちます:"},
	"page.waits.none":         {"The evidence is at its end: it would wait for nothing more.", "証拠の保全は終わっています。待つものはありません。"},
	"page.cuts":               {"It would cut short:", "次のものは打ち切られます:"},
	"page.owners":             {"Tags that say whose it is", "所有者を示すタグ"},
	"page.skip":               {"Go to the decision", "決定へ進む"},
	"page.means":              {"What it means", "意味"},
	"page.what":               {"What each decision does, and what it cannot undo", "それぞれの決定の内容と、元に戻せないこと"},
	"page.stale":              {"This form was opened more than 30 minutes ago. Below is what is known now: read it, and send the form again.", "このフォームを開いてから30分以上経過しています。以下は現時点の情報です。確認の上、もう一度送信してください。"},
	"page.again":              {"See how far it is", "進み具合を見る"},
	"page.back":               {"To the form", "フォームへ"},
	"page.progress":           {"A decision on this request was recorded and verified. Load this page again to see how far it is.", "この依頼への決定は記録され、検証されています。進み具合は、このページを再読み込みすると分かります。"},
	"page.stages":             {"How far it is", "進み具合"},
	"page.how":                {"How the person is known", "本人確認"},
	"page.hash":               {"SHA-256 of what was shown before deciding", "決定前に表示された内容のSHA-256"},
	"page.state.done":         {"Done", "完了"},
	"page.state.open":         {"Not yet", "未完了"},
	"page.state.bad":          {"Not carried out", "実行されず"},
	"page.intro":              {"Read what is known of this instance, then decide. Opening this page changes nothing.", "このインスタンスについて分かっていることを確認してから決定してください。このページを開くだけでは何も変わりません。"},
	"page.before.title":       {"Decide whether to isolate an EC2 instance", "EC2インスタンスを隔離するかどうかの決定"},
	"page.before":             {"The instance is NOT isolated. You are asked first, because {reason}", "インスタンスは隔離していません。事前に確認をお願いする理由: {reason}"},
	"page.before.silence":     {"If nobody decides by then, the instance is NOT isolated.", "期限までに決定がなければ、隔離しません。"},
	"page.problem":            {"You are asked again, because the last decision could not be carried out: {reason}", "前回の決定を実行できなかったため、もう一度お願いします: {reason}"},
	"page.instance":           {"The instance", "インスタンス"},
	"page.done":               {"What was done and verified", "実施・確認済みの対応"},
	"page.isolatedAt":         {"Last verified", "最終確認"},
	"page.nothingYet":         {"Nothing is recorded yet.", "まだ記録がありません。"},
	"page.sealed":             {"Every network interface is in quarantine.", "すべてのネットワークインターフェイスが隔離されています。"},
	"page.contained":          {"Every network interface is contained; memory is being captured.", "すべてのネットワークインターフェイスが隔離され、メモリを取得中です。"},
	"page.open":               {"NOT every network interface is contained.", "隔離できていないネットワークインターフェイスがあります。"},
	"page.choices":            {"Your decision", "決定"},
	"page.typeID":             {"Type the instance ID, {instance}, so that no mail program decides for you", "インスタンスID {instance} を入力してください (メールソフトによる自動決定を防ぐためです)"},
	"page.yourName":           {"Your name (recorded, not verified)", "お名前 (記録されますが、本人確認はされません)"},
	"page.yourReason":         {"Reason (recorded)", "理由 (記録されます)"},
	"page.submit":             {"Record this decision", "この決定を記録する"},
	"page.once":               {"One decision a request: it cannot be changed afterwards.", "決定は1回限りで、後から変更できません。"},
	"page.until":              {"This request ends", "この依頼の期限"},
	"page.silence":            {"If nobody decides by then, the instance stays isolated and nothing is terminated.", "期限までに決定がなければ、隔離を続け、何も終了しません。"},
	"page.warning":            {"Text in quotes was written by others and may try to mislead.", "「」内は第三者が書いた文字列で、誤解を招く内容の可能性があります。"},
	"page.wrong":              {"Nothing was recorded", "何も記録されていません"},
	"page.wrong.choice":       {"Choose one of the decisions.", "決定を1つ選んでください。"},
	"page.wrong.instance":     {"The typed instance ID is not the one of this instance.", "入力されたインスタンスIDが一致しません。"},
	"page.wrong.name":         {"Type your name.", "お名前を入力してください。"},
	"page.wrong.long":         {"A name may have 200 characters, a reason 1,000.", "お名前は200文字、理由は1,000文字までです。"},
	"page.later.silence":      {"If nobody decides by then, everything stays as it is.", "期限までに決定がなければ、すべて元のままです。"},
	"page.later":              {"You are asked once more: {reason}", "もう一度お願いします: {reason}"},
	"page.wrong.force":        {"Only a release can be forced.", "強制できるのは解放だけです。"},
	"page.wrong.override":     {"To terminate without complete evidence is offered only after a termination was refused for that reason.", "証拠が揃わないままの終了は、そのために終了が拒否された後でのみ選べます。"},

	"step.recorded":        {"The decision is recorded: {choice}, by {person}, at {at}", "決定を記録しました: {choice}、{person}、{at}"},
	"step.verified":        {"It is verified: made for this incident, this machine and this request, and not changed since", "検証しました: このインシデント、このインスタンス、この依頼に対する決定で、変更されていません"},
	"step.evidence":        {"The evidence is brought to its end", "証拠の保全を終えます"},
	"step.evidence.done":   {"The evidence is at its end", "証拠の保全が終わりました"},
	"step.terminating":     {"The instance is being terminated, since {at}", "{at} からインスタンスを終了しています"},
	"step.terminate":       {"The instance is terminated", "インスタンスを終了します"},
	"step.terminated":      {"The instance is terminated and the incident closed, {at}", "インスタンスを終了し、インシデントを閉じました: {at}"},
	"step.keep":            {"The incident is closed; the instance stays isolated", "インシデントを閉じ、隔離を継続します"},
	"step.kept":            {"The incident is closed and the instance stays isolated, {at}", "インシデントを閉じ、隔離を継続しています: {at}"},
	"step.release":         {"Everything is put back as it was", "すべてを元に戻します"},
	"step.released":        {"The instance is released and the incident closed, {at}", "インスタンスを解放し、インシデントを閉じました: {at}"},
	"step.released.partly": {"Not everything is back: {what}", "戻せていないものがあります: {what}"},
	"step.isolate":         {"The instance is isolated", "インスタンスを隔離します"},
	"step.isolated":        {"The instance is isolated since {at}", "{at} にインスタンスを隔離しました"},
	"step.leave":           {"The incident is closed; nothing was changed", "何も変更せずにインシデントを閉じます"},
	"step.left":            {"The incident is closed and nothing was changed, {at}", "何も変更せずにインシデントを閉じました: {at}"},
	"step.refused":         {"It could not be carried out: {reason}. People were asked again by a newer mail.", "実行できませんでした: {reason}。新しいメールでもう一度決定をお願いしています。"},

	"page.progress.title":   {"It is decided", "決定されています"},
	"page.handed.title":     {"No decision has been verified yet", "検証済みの決定はまだありません"},
	"page.handed":           {"If one was recorded a moment ago, it is verified within seconds: look again. If it was not, decide by the form.", "直前に決定が記録された場合、数秒以内に検証されます。もう一度表示してください。そうでない場合は、フォームから決定してください。"},
	"page.expired.title":    {"This request has expired", "この依頼は期限切れです"},
	"page.expired":          {"Nobody decided in time, so the instance stays as it is; silence terminates and releases nothing. It can still be decided: cordon decide {incident} terminate|keep|release --reason TEXT.", "期限までに決定がなかったため、インスタンスはそのままです。応答がないことで終了・解放されることはありません。今からでも決定できます: cordon decide {incident} terminate|keep|release --reason TEXT。"},
	"page.superseded.title": {"You were asked again since", "新しい依頼があります"},
	"page.superseded":       {"This request is not the newest about its incident: use the link in the newest mail. Nothing can be decided here any more.", "この依頼はこのインシデントの最新のものではありません。最新のメールのリンクをお使いください。ここではもう決定できません。"},
	"page.newer.title":      {"A newer incident is open about this instance", "このインスタンスの新しいインシデントがあります"},
	"page.newer":            {"What was asked here is over. Use the link in the mail of the newer incident.", "この依頼は終了しています。新しいインシデントのメールのリンクをお使いください。"},
	"page.over.title":       {"This incident is closed", "このインシデントは終了しています"},
	"page.over":             {"It was closed without a decision on this request. To decide once more: cordon decide {incident} terminate|release --reason TEXT.", "この依頼への決定なしに終了しています。もう一度決定するには: cordon decide {incident} terminate|release --reason TEXT。"},
	"page.tampered.title":   {"This form is not one that this page made", "このページが作成したフォームではありません"},
	"page.tampered":         {"It was changed on its way, belongs to another request, or was made up. Nothing was recorded. Open the link from the mail and use the form there.", "途中で変更されたか、別の依頼のものか、作られたものです。何も記録されていません。メールのリンクを開き、そのフォームをお使いください。"},
	"page.wrong.reason":     {"Type a reason: it stands in the record.", "理由を入力してください。記録に残ります。"},

	"left.none":    {"less than a minute", "1分未満"},
	"left.minutes": {"{minutes} min", "{minutes}分"},
	"left.hours":   {"{hours} h {minutes} min", "{hours}時間{minutes}分"},
	"left.days":    {"{days} days {hours} h", "{days}日{hours}時間"},

	"gap.unlocked":    {"Snapshot {snapshot} of volume {volume} is NOT locked: it can be deleted", "ボリューム {volume} のスナップショット {snapshot} はロックされておらず、削除できます"},
	"gap.noSnapshots": {"Nothing is known of snapshots yet", "スナップショットの情報がまだありません"},
	"gap.noMemory":    {"Nothing is known of a memory capture yet", "メモリ取得の情報がまだありません"},
	"waits.snapshot":  {"snapshot {snapshot} of volume {volume}, {progress}", "ボリューム {volume} のスナップショット {snapshot} ({progress})"},
	"waits.missing":   {"a snapshot of volume {volume}; while there is none, a termination is refused", "ボリューム {volume} のスナップショット。存在しない限り、終了は拒否されます"},
	"waits.memory":    {"the memory capture, which is under way", "進行中のメモリ取得"},
	"waits.seal":      {"the seal: every network interface in quarantine", "封鎖 (すべてのネットワークインターフェイスの隔離)"},
	"cuts.memory":     {"the memory capture, which is under way: what is captured so far is kept and called partial", "進行中のメモリ取得。それまでの内容は一部のみとして保管されます"},
	"cuts.missing":    {"the attempts to snapshot volume {volume}, which has none", "スナップショットのないボリューム {volume} の取得"},
	"cuts.snapshots":  {"the waiting for snapshots that are pending: EBS completes them, and nobody makes a failed one again", "作成中のスナップショットの待機。EBSが完了させますが、失敗しても作り直されません"},
	"drifted":         {"Others undid the isolation {number} times; it was put right each time. Last at {at}: {what}", "第三者による隔離の解除が{number}回あり、その都度修復しました。最後は {at}: {what}"},

	"known.link":            {"by possession of the mailed link; the name is a claim", "メールのリンクの所持のみ。名前は自己申告です"},
	"known.iam":             {"verified by AWS IAM: {who}", "AWS IAMによる確認: {who}"},
	"known.identity-center": {"verified by IAM Identity Center through Verified Access: user {who}", "IAM Identity Center (Verified Access経由) による確認: ユーザー {who}"},

	"page.you":            {"You are signed in as {who}.", "{who} としてサインインしています。"},
	"page.look":           {"You may look and not decide: deciding is for responders, at their own address.", "閲覧のみ可能です。決定は、対応者が専用のアドレスから行います。"},
	"page.reader.title":   {"You may look and not decide", "閲覧のみ可能です"},
	"page.reader":         {"Nothing was recorded. Deciding is for responders, at their own address.", "何も記録されていません。決定は、対応者が専用のアドレスから行います。"},
	"page.stranger.title": {"Nobody vouches for you", "本人確認ができません"},
	"page.stranger": {
		"This page is for people that Verified Access lets in, and what it says of you cannot be believed ({why}). Open the link again. If that does not help, decide with the command: cordon decide.",
		"このページはVerified Accessが許可した人のためのものですが、その署名を確認できません ({why})。もう一度リンクを開いてください。解決しない場合は cordon decide コマンドで決定してください。",
	},
	"page.earlier.first":  {"{person}, the first of two, decided: {choice}, {at}; a second person is wanted", "{person} (2人のうち1人目) が決定: {choice}、{at}。2人目の決定が必要です"},
	"page.first.title":    {"Your decision is recorded, and a second person is needed", "決定を記録しました。もう1人の決定が必要です"},
	"page.first":          {"Nothing is terminated until another person decides the same, by the same link; all are told by mail that one is wanted. If nobody does, the instance stays isolated.", "別の人が同じリンクから同じ決定をするまで、終了されません。2人目が必要なことは全員にメールで知らせます。誰も決定しなければ、隔離を続けます。"},
	"page.second.title":   {"Another person decided to terminate; yours would be the second", "別の人が終了を決定しています。あなたが2人目です"},
	"page.second":         {"Nothing of yours is recorded yet. Read whose decision it is, and send the form again to second it; or decide otherwise.", "あなたの決定はまだ記録されていません。1人目の決定を確認し、同意する場合はもう一度送信してください。別の決定もできます。"},
	"page.unproven.title": {"Nothing tells you from another person", "別人であることを確認できません"},
	"page.unproven":       {"A termination needs two people that are known for sure, by IAM Identity Center. Nothing was recorded.", "終了には、IAM Identity Centerで確認された2人が必要です。何も記録されていません。"},
	"page.otherWay.title": {"The first person decided by another way", "1人目は別の方法で決定しています"},
	"page.otherWay":       {"One of you is known through this page and the other through IAM, so nobody can tell that you are two. Decide by the way of the first. Nothing of yours was recorded.", "一方はこのページ、もう一方はIAMで確認されているため、別人であると判断できません。1人目と同じ方法で決定してください。あなたの決定は記録されていません。"},
	"page.ownFirst.title": {"Your first decision stands as it was recorded", "あなたの最初の決定がそのまま残ります"},
	"page.ownFirst":       {"A recorded decision is never changed, so what you sent now is not recorded. The one below waits for a second person. To keep or to release, decide so: that takes you alone.", "記録した決定は変更できないため、今回の内容は記録されていません。下の決定が2人目を待っています。隔離継続または解放は、あなた1人で決定できます。"},

	// The purposes of threats, in GuardDuty's own division.

	"purpose.backdoor":            {"The instance behaves as if somebody else had control of it: it answers to a command server, or takes part in attacks.", "第三者に操作されている疑いがあります。指令サーバーと通信しているか、攻撃に加わっています。"},
	"purpose.behavior":            {"The instance does what it never did before; that may be an intruder, or a change of yours.", "これまでにない動作をしています。侵入者か、正当な変更の可能性があります。"},
	"purpose.credentialaccess":    {"Somebody tries to get at passwords or keys on the instance.", "パスワードやキーを盗み出そうとする動きがあります。"},
	"purpose.cryptocurrency":      {"The instance mines or handles cryptocurrency, which intruders do at your cost.", "暗号資産の採掘や取引を行っています。侵入者がよく行うことです。"},
	"purpose.defenseevasion":      {"Somebody on the instance hides from detection.", "検知を逃れようとする動きがあります。"},
	"purpose.discovery":           {"Somebody on the instance looks around for what else there is to attack.", "ほかの攻撃対象を探る動きがあります。"},
	"purpose.execution":           {"Code runs on the instance that should not, or malware was found on it.", "不正なコードが実行されているか、マルウェアが見つかりました。"},
	"purpose.exfiltration":        {"Data is being carried out of the instance.", "データが持ち出されています。"},
	"purpose.impact":              {"The instance is used to damage, disturb or take over something, yours or another's.", "破壊・妨害・乗っ取りに使われています。"},
	"purpose.initialaccess":       {"Somebody tries to get in, or just got in.", "侵入しようとしているか、侵入した直後です。"},
	"purpose.pentest":             {"A tool for penetration tests was seen; that may be a test of yours, or an intruder with the same tool.", "侵入テスト用のツールが検出されました。正当なテストか、同じツールを使う侵入者です。"},
	"purpose.persistence":         {"Somebody prepares to come back.", "再び侵入するための準備が行われています。"},
	"purpose.policy":              {"Something is done that goes against good practice.", "推奨される運用に反する動作があります。"},
	"purpose.privilegeescalation": {"Somebody on the instance tries to get more rights.", "より強い権限を得ようとする動きがあります。"},
	"purpose.recon":               {"Somebody explores the instance, or others from it, for weak points.", "弱点を探る動きがあります (このインスタンスが対象か、起点です)。"},
	"purpose.stealth":             {"Somebody hides traces.", "痕跡を隠す動きがあります。"},
	"purpose.trojan":              {"A program on the instance does other things than it says: a Trojan horse.", "見かけと異なる動作をするプログラム (トロイの木馬) があります。"},
	"purpose.unauthorizedaccess":  {"Somebody uses the instance who should not, or it uses what it should not.", "不正なアクセスがあります。"},
	"purpose.attacksequence":      {"Several events together look like one attack in steps.", "複数の事象が、段階的な一つの攻撃と見られます。"},
	"purpose.other":               {"GuardDuty names no purpose that this page knows; read the title and the finding itself.", "このページの知らない種類の検出です。題名と検出結果をご確認ください。"},

	"page.recorded.title":    {"Your decision is recorded", "決定を記録しました"},
	"page.recorded":          {"The decision is recorded and delivered. It is verified once more before anything is done, and a mail tells how it ended.", "決定を記録し、伝達しました。実行前にもう一度検証され、結果はメールでお知らせします。"},
	"page.undelivered.title": {"Your decision is recorded, and not yet delivered", "決定を記録しました (未伝達)"},
	"page.undelivered": {
		"The decision stands, but AWS did not take it just now. It is looked for in the record every few minutes and carried out then. To have it at once, send the form again in a minute.",
		"決定は有効ですが、AWSへの伝達に失敗しました。数分おきに記録を確認し、見つけしだい実行します。すぐに実行するには、1分後にもう一度フォームを送信してください。",
	},
	"page.taken.title":  {"It is already decided", "すでに決定されています"},
	"page.taken":        {"The first decision counts. Yours was not recorded.", "最初の決定が有効です。あなたの決定は記録されていません。"},
	"page.own.title":    {"This decision had arrived before", "この決定はすでに届いています"},
	"page.own":          {"Your decision stands and was handed on once more. It counts once.", "あなたの決定は有効で、もう一度伝達しました。決定は1回だけ数えられます。"},
	"page.nobody.title": {"The decision is recorded, but nobody waits for it any more", "決定は記録されましたが、待機中の処理がありません"},
	"page.nobody": {
		"Either another visit to this page handed it on in the same moment, or the incident response had stopped waiting. A mail within minutes says what was done. Without one the instance stays as it is, and somebody has to carry the decision out by hand.",
		"同じ瞬間に別のアクセスが決定を伝達したか、インシデント対応がすでに待機を終えていたかのどちらかです。数分以内に届くメールが結果を知らせます。届かない場合、インスタンスはそのままなので、手動で実行してください。",
	},
	"page.known.title":  {"There is no such request", "該当する依頼はありません"},
	"page.known":        {"The link is incomplete or wrong. Copy it whole from the mail.", "リンクが不完全か誤っています。メールから全体をコピーしてください。"},
	"page.method.title": {"This cannot be done here", "この操作はできません"},
	"page.method":       {"Open the link from the mail.", "メールのリンクを開いてください。"},
	"page.form.title":   {"The form could not be read", "フォームを読み取れません"},
	"page.form":         {"Nothing was recorded. Open the link from the mail and use the form there.", "何も記録されていません。メールのリンクを開き、そのフォームをお使いください。"},
	"page.large.title":  {"The form is too large", "フォームが大きすぎます"},
	"page.large":        {"What was sent is too large. Nothing was recorded.", "送信内容が大きすぎます。何も記録されていません。"},
	"page.broken.title": {"Something is broken on our side", "システム側の問題が発生しました"},
	"page.broken":       {"It is not known whether anything was recorded. Open the link again; a decision is never recorded twice.", "記録されたかどうか分かりません。もう一度リンクを開いてください。決定が二重に記録されることはありません。"},
}
