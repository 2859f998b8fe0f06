package redact

import (
	"strings"
	"testing"
)

func TestSecretKey(t *testing.T) {
	secret := strings.FieldsSeq(`
		password PASSWORD Password dbPassword db_password DBPassword password2 new.password userpassword passwd pwd
		passphrase pass_word PassWord secret client_secret clientSecret CLIENTSECRET secret_id secrets
		apiKey API-KEY api_key api.key apikey x_api_key X-API-Key aPiKeY a-p-i-k-e-y openai_api_key APIKeyProd
		token TOKEN tOkEn access_token accessToken ACCESSTOKEN refresh_token id_token subject_token actorToken
		authtoken csrfToken github_token GITHUB_TOKEN token_github slackBotToken access_tokens tokenValue X-Vault-Token
		x-amz-security-token private_token Authorization Proxy-Authorization authorization_details
		Cookie Set-Cookie cookies session SESSION user_session session_id sessionId SessionID Mcp-Session-Id mcpSessionId
		MCP_SESSION_ID JSESSIONID connect.sid private_key privateKey PRIVATE-KEY ssh_private_key secretKey AccountKey account_key
		aws_secret_access_key aws_access_key_id accessKeyId encryption_key SharedAccessSignature connectionString
		Ocp-Apim-Subscription-Key x-functions-key license_key assertion client_assertion code_verifier codeVerifier
		auth_code authorization_code device_code recovery_codes _auth basicAuth bearer jwt otp totp cvv mnemonic seed_phrase
		db_pass smtpPass github_pat credentials aws.credentials requestState`)
	for name := range secret {
		if !SecretKey(name) {
			t.Errorf("SecretKey(%q) = false, want true", name)
		}
	}
	plain := strings.Fields(`
		tokens tokens_used max_tokens maxTokens MAX_TOKENS progressToken progresstoken progress_token token_count tokenCount
		total_tokens prompt_tokens token_type tokenType token_endpoint token_url tokenizer tokenize next_page_token pageToken
		nextPageToken syncToken continuationToken stop_token eos_token_id token_limit token_budget token_balance token_symbol
		keyboard monkey turnkey hockey key keys primary_key foreignKey sort_key public_key publicKey key_id keyId
		author authors authority authenticated authentication oauth passage passport compass bypass pass passed
		sessions sessions_total session_count sessionTimeout session_duration session_start
		secretary secretName secret_name secret_version password_policy passwordLength has_password hasToken is_secret
		requires_auth password_required cookie_consent cookieName authorization_endpoint authorizationServers
		bearer_methods_supported code_challenge code state status code_challenge_method client_id user username email
		name value title query url path method arguments content text data nonce signature pin id hash digest
		access_token_expires_in tokenExpiresAt client_assertion_type possession_id assertions cart`)
	for _, name := range append(plain, "", "_", "123", "日本", "\xff") {
		if SecretKey(name) {
			t.Errorf("SecretKey(%q) = true, want false", name)
		}
	}
}

func TestSecretKeyLong(t *testing.T) {
	filler := strings.Repeat("x_", 5000)
	for _, name := range []string{"password_" + filler, filler + "password"} {
		if !SecretKey(name) {
			t.Errorf("SecretKey(%.20q..., %d bytes) = false, want true", name, len(name))
		}
	}
}
